"""`cspine evaluate`: Dice, HD95 and level accuracy of a model, or of predictions that are there, against references."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from cspine.cli.console import progress, table
from cspine.errors import SomeStudiesFailedError, UsageError

if TYPE_CHECKING:
    from cspine.study.evaluation.evaluation import CaseResult
    from cspine.study.evaluation.metrics import Score


@click.command(name="evaluate")
@click.option("--reference", required=True, type=click.Path(path_type=Path), help="Folder of reference labels.")
@click.option("--prediction", type=click.Path(path_type=Path), help="Folder of labels with the same file names.")
@click.option("--images", type=click.Path(path_type=Path), help="Folder of CT images, NAME_0000.nii.gz.")
@click.option("--model", help="With --images: model package that segments them.  [default: cervical-demo]")
@click.option("--device", default="auto", show_default=True, help="With --images: auto, cpu, cuda or cuda:N.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for tables, labels and pictures.")
@click.pass_context
def command(
    context: click.Context,
    reference: Path,
    prediction: Path | None,
    images: Path | None,
    model: str | None,
    device: str,
    out: Path | None,
) -> None:
    """Compare labels with a reference, level by level, over C1..T1.

    Give either --prediction, or --images to segment and clean them with a model as `cspine run` does.
    `cspine synthesize` writes folders of that form. A level that only one of the two has counts as Dice 0; HD95 is the
    mean over the cases where both have it.

    Level accuracy is the share of the reference's vertebrae (0.5 ml or more in view) of which most labelled voxels
    carry their own level; one with less than a fifth of its voxels labelled was missed. A wrong level without a
    finding is a case that a user of `cspine run` would not be warned about: with --images only.

    \b
    OUT/sheet.png      found beside reference, worst cases first (sheet-1.png, ... for more than 16)
    OUT/cases.csv      a row a case: means, level accuracy, wrong levels, findings
    OUT/scores.csv     a row a case and level
    OUT/summary.json   all cases together
    OUT/labels/        with --images: what was found

    A case whose files cannot be used, or whose segmentation fails, is listed and counts in no mean; the command ends
    with exit code 11 after all others are done.
    """  # noqa: D301
    if (prediction is None) == (images is None):
        raise UsageError("give either --prediction or --images")
    if out is not None and (out.suffix.lower() == ".csv" or out.is_file()):
        raise UsageError(f"--out {out.name}: give a folder", advice="Its scores.csv has a row a case and level.")
    if prediction is not None:
        given = [n for n in ("model", "device") if context.get_parameter_source(n) is not ParameterSource.DEFAULT]
        if given:
            options = " and ".join(f"--{name}" for name in given)
            raise UsageError(f"{options} with --prediction", advice="Labels that are there need no model.")
    from cspine.cli.models import wanted_model
    from cspine.inference.settings import InferenceSettings
    from cspine.models.package import load_package
    from cspine.report.sheet import write_sheets
    from cspine.study.evaluation import evaluation
    from cspine.study.evaluation.evaluation_cases import evaluate_case, find_cases, output_folder, sheet_rows

    folder = output_folder(out) if out is not None else None
    if folder is not None:
        folder.check([reference, images, prediction])
    cases = find_cases(reference, prediction, images, out)
    package = load_package(wanted_model(model)) if images is not None else None
    if folder is not None:
        folder.begin()
    results: list[CaseResult] = []
    with progress("cases") as tell:
        tell(0, len(cases))
        for case in cases:
            results.append(evaluate_case(case, package, InferenceSettings(device=device)))
            tell(len(results), len(cases))
    title = package.identity.title if package else "Predictions"
    if folder is not None:
        evaluation.write_tables(results, folder.root)
        write_sheets(sheet_rows(cases, results), len(results), f"{title}: found, reference", folder.root)
        folder.finish(evaluation.summary(results, package.identity if package else None))
    _show(results, title)
    if out is not None:
        click.echo(f"Tables and pictures in {out}")
    failed = [result for result in results if result.error]
    for result in failed:
        click.echo(f"failed: {result.case} {result.error}")
    if failed:
        raise SomeStudiesFailedError(f"{len(failed)} of {len(results)} cases failed")


def _show(results: Sequence[CaseResult], title: str) -> None:
    from cspine.study.evaluation.evaluation import levels_summary
    from cspine.tables import number

    by_level: dict[str, list[Score]] = {}
    for result in results:
        for score in result.scores:
            if not math.isnan(score.dice):
                by_level.setdefault(score.level, []).append(score)
    missed = Counter(match.level for result in results for match in result.missed)
    rows = [_row(level, found, missed[level]) for level, found in by_level.items()]
    rows.append(_row("all", [score for found in by_level.values() for score in found], missed.total()))
    table(f"{title}: {len(results)} cases", ("Level", "Cases", "Dice", "lowest", "HD95 mm", "missed"), rows)
    told = levels_summary(results)
    silent = told["cases_wrong_without_finding"]
    accuracy = number(told["level_accuracy"]) or "n/a"
    lines = [
        ["level accuracy", f"{accuracy} of {told['vertebrae']} vertebrae"],
        ["cases with every level right", str(told["cases_ok"])],
        ["cases with a wrong level", str(told["cases_with_wrong_level"])],
        ["cases with a missed level", str(told["cases_with_missed_level"])],
        ["wrong level without a finding", "n/a" if silent is None else str(silent)],
    ]
    table("Levels", ("", ""), lines)


def _row(level: str, scores: list[Score], missed: int) -> list[str]:
    dice = [score.dice for score in scores]
    distances = [score.hd95_mm for score in scores if math.isfinite(score.hd95_mm)]
    return [
        level,
        str(len(scores)),
        f"{sum(dice) / len(dice):.3f}" if dice else "",
        f"{min(dice):.3f}" if dice else "",
        f"{sum(distances) / len(distances):.2f}" if distances else "",
        str(missed),
    ]
