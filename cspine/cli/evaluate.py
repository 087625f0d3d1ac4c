"""`cspine evaluate`: Dice and HD95 of a model, or of predictions that are there, against reference labels."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cspine.cli.console import progress, table
from cspine.errors import InputError, NoVertebraError, UsageError

if TYPE_CHECKING:
    from cspine.models.package import ModelPackage
    from cspine.study.metrics import Score
    from cspine.volumes import LabelVolume

_COLUMNS = ("case", "level", "dice", "hd95_mm")


@click.command(name="evaluate")
@click.option("--reference", required=True, type=click.Path(path_type=Path), help="Folder of reference labels.")
@click.option("--prediction", type=click.Path(path_type=Path), help="Folder of labels with the same file names.")
@click.option("--images", type=click.Path(path_type=Path), help="Folder of CT images, NAME_0000.nii.gz.")
@click.option("--model", help="With --images: model package that segments them.  [default: cervical-demo]")
@click.option("--device", default="auto", show_default=True, help="With --images: auto, cpu, cuda or cuda:N.")
@click.option("--out", type=click.Path(path_type=Path), help="CSV file with a row a case and level.")
def command(
    reference: Path, prediction: Path | None, images: Path | None, model: str | None, device: str, out: Path | None
) -> None:
    """Compare labels with a reference, level by level, over C1..T1.

    Give either --prediction, or --images to segment and clean them with a model as `cspine run` does.
    `cspine synthesize` writes folders of that form. A level that only one of the two has counts as Dice 0; HD95 is the
    mean over the cases where both have it.
    """
    if (prediction is None) == (images is None):
        raise UsageError("give either --prediction or --images")
    from cspine.anatomy import CERVICAL_LEVELS
    from cspine.cli.models import places
    from cspine.images import read_labels
    from cspine.models.package import load_package
    from cspine.models.registry import find_model
    from cspine.study.metrics import score_levels

    paths = sorted(reference.glob("*.nii.gz"))
    if not paths:
        raise InputError(f"no *.nii.gz in {reference}")
    package = None
    if images is not None:
        package = load_package(find_model(model, places()))
    scores: dict[str, list[Score]] = {}
    with progress("cases") as tell:
        for done, path in enumerate(paths, 1):
            if package is not None and images is not None:
                name = path.name.removesuffix(".nii.gz")
                found = _segmented(images / f"{name}_0000.nii.gz", package, device)
            else:
                assert prediction is not None
                found = read_labels(prediction / path.name)
            scores[path.name] = score_levels(read_labels(path), found, CERVICAL_LEVELS)
            tell(done, len(paths))
    if out is not None:
        _write(scores, out)
    _show(scores, package.identity.title if package else "Predictions")


def _segmented(path: Path, package: ModelPackage, device: str) -> LabelVolume:
    """Labels of an image as a run gives them; none where no cervical vertebra is found."""
    from cspine.images import read_ct
    from cspine.inference.predict import segment
    from cspine.inference.settings import InferenceSettings
    from cspine.postprocessing.clean import postprocess

    ct = read_ct(path)
    labels = segment(ct, package, InferenceSettings(device=device)).labels
    try:
        return postprocess(labels, ct, None)[0]
    except NoVertebraError:
        return type(labels)(labels.labels_zyx * 0, labels.affine_lps, labels.model)


def _write(scores: dict[str, list[Score]], out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines)
        writer.writerow(_COLUMNS)
        for case, levels in scores.items():
            writer.writerows([case, s.level, f"{s.dice:.4f}", f"{s.hd95_mm:.3f}"] for s in levels)


def _show(scores: dict[str, list[Score]], title: str) -> None:
    by_level: dict[str, list[Score]] = {}
    for levels in scores.values():
        for score in levels:
            if not math.isnan(score.dice):
                by_level.setdefault(score.level, []).append(score)
    rows = [_row(level, found) for level, found in by_level.items()]
    rows.append(_row("all", [score for found in by_level.values() for score in found]))
    table(f"{title}: {len(scores)} cases", ("Level", "Cases", "Dice", "lowest", "HD95 mm", "missed"), rows)


def _row(level: str, scores: list[Score]) -> list[str]:
    dice = [score.dice for score in scores]
    distances = [score.hd95_mm for score in scores if math.isfinite(score.hd95_mm)]
    return [
        level,
        str(len(scores)),
        f"{sum(dice) / len(dice):.3f}" if dice else "",
        f"{min(dice):.3f}" if dice else "",
        f"{sum(distances) / len(distances):.2f}" if distances else "",
        str(len(scores) - len(distances)),
    ]
