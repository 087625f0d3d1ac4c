"""`cspine evaluate`: overlap, surfaces, volumes and levels of a model, or of any system's labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from cspine.cli.levels import wanted_levels
from cspine.core.errors import InputError, SomeStudiesFailedError, UsageError
from cspine.io.console import progress, table
from cspine.io.tables import counted

if TYPE_CHECKING:
    from cspine.core.anatomy import Vertebra
    from cspine.models.package import ModelPackage
    from cspine.study.evaluation.evaluation import CaseResult
    from cspine.study.evaluation.summaries import LevelSummary, Spread

_FOLDER = click.Path(path_type=Path)
_SCHEME = "Label scheme: see --list-schemes.  [default: by a dataset.json in the folder or beside it, else verse]"
_MAX_FAILURES = 20


def _list_schemes(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    from cspine.study.label_schemes import MASKS, NNUNET, SCHEMES, SEG

    rows = [[scheme.name, scheme.title, scheme.numbers_text, scheme.others_are] for scheme in SCHEMES.values()]
    rows.append([NNUNET, "any nnU-Net v2 dataset or prediction", "by the names in dataset.json", "every other name"])
    rows.append([MASKS, "a folder a case, one file a vertebra", "vertebrae_C1.nii.gz ...", "every other file"])
    rows.append([SEG, "DICOM Segmentations, *.dcm", "by the codes or labels of the segments", "every other segment"])
    table("Label schemes", ("name", "whose", "numbers", "background"), rows)
    context.exit()


@click.command(name="evaluate")
@click.option("--reference", type=_FOLDER, help="Folder of reference labels.")
@click.option("--dataset", type=_FOLDER, help="nnU-Net dataset of cspine: references, images and parts from there.")
@click.option("--prediction", type=_FOLDER, help="Folder of labels to judge, paired by name.")
@click.option("--images", type=_FOLDER, help="Folder of CT images, NAME_0000.nii.gz; with --prediction for pictures.")
@click.option("--model", help="With --images: model package that segments them.  [default: cervical-demo]")
@click.option("--device", default="auto", show_default=True, help="With --images: auto, cpu, cuda or cuda:N.")
@click.option("--cases", type=_FOLDER, help="cases.csv of a dataset: the part and fold of each case.")
@click.option("--parts", metavar="PART,...", help="Only these parts: training, internal, external.")
@click.option("--reference-scheme", metavar="NAME", help=_SCHEME)
@click.option("--prediction-scheme", metavar="NAME", help=_SCHEME)
@click.option("--prediction-pattern", metavar="TEXT", help="Name of a prediction, for example '{case}_msk.nii.gz'.")
@click.option("--levels", metavar="C1-L6", help="Levels to compare.  [default: those that the model or scheme knows]")
@click.option("--allow-missing", is_flag=True, help="List cases without a prediction as failed, and go on.")
@click.option("--title", help="Name for tables and reports.  [default: the model, or the folder of predictions]")
@click.option("--jobs", type=click.IntRange(1), help="With --prediction: processes.  [default: one a core]")
@click.option("--pictures", type=click.IntRange(0), metavar="N", help="Only the N worst cases on sheets; 0 for none.")
@click.option("--out", type=_FOLDER, help="Folder for tables, labels and pictures.")
@click.option(
    "--list-schemes", is_flag=True, is_eager=True, expose_value=False, callback=_list_schemes,
    help="Show the label schemes of other systems, and stop.",
)  # fmt: skip
@click.pass_context
def command(
    context: click.Context,
    reference: Path | None,
    dataset: Path | None,
    prediction: Path | None,
    images: Path | None,
    model: str | None,
    device: str,
    cases: Path | None,
    parts: str | None,
    reference_scheme: str | None,
    prediction_scheme: str | None,
    prediction_pattern: str | None,
    levels: str | None,
    allow_missing: bool,
    title: str | None,
    jobs: int | None,
    pictures: int | None,
    out: Path | None,
) -> None:
    """Compare labels with a reference, level by level: Dice, HD95, ASSD, volume, and whether each level is right.

    Give --prediction for labels that are there, of cspine or of any system whose label scheme it knows; or --images
    alone, to segment and clean them with a model as `cspine run` does. References come from --reference, or from the
    labels of a --dataset, which also tells what is training, internal and external.

    Predictions are NAME.nii.gz, NAME_0000.nii.gz, NAME_seg.nii.gz, or a folder NAME with one mask a vertebra
    (TotalSegmentator) or one file; or DICOM Segmentations: NAME.dcm, or the folder NAME that `cspine run` wrote. So are
    references. Another orientation of the same voxels is turned; another grid is refused.

    A level that only one of the two has counts as Dice 0; HD95 and ASSD are over the cases where both have it. Volume
    given to a neighbour is the share of a reference vertebra that carries the label above or below (median and 95th
    percentile). A vertebra is identified, as VerSe defines it, where the nearest centroid of the prediction is its own
    level's, within 20 mm. Level accuracy is the share of the reference's vertebrae (0.5 ml or more in view) of which
    most labelled voxels carry their own level. docs/guide/evaluation.md has every definition.

    \b
    OUT/sheet.png      found beside reference, worst cases first (sheet-1.png, ... for more than 16)
    OUT/levels.csv     a row a level, and over [C1,T1] and [C1,L6]: mean, SD, median, range, missed, false
    OUT/cases.csv      a row a case: means, level accuracy, wrong levels, findings
    OUT/scores.csv     a row a case and level
    OUT/files.csv      which files were compared
    OUT/summary.json   all cases together; `cspine compare` takes such folders
    OUT/labels/        with --images: what was found

    A case whose files cannot be used, or whose segmentation fails, is listed and counts in no mean; the command ends
    with exit code 11 after all others are done.
    """  # noqa: D301
    _refuse_what_does_not_fit(context, reference, dataset, prediction, images, out)
    wanted = wanted_levels(levels, "--levels") if levels is not None else ()
    if reference is not None and not reference.is_dir():
        raise InputError("--reference is no folder", advice="Give the folder of reference labels.")
    from cspine.study.evaluation.evaluate import EvaluationOptions, Task, run_evaluation
    from cspine.study.evaluation.pairing import Inputs

    chosen = tuple(part.strip() for part in parts.split(",")) if parts is not None else ()
    inputs = Inputs(
        reference, dataset, prediction, images, cases, chosen, reference_scheme, prediction_scheme, prediction_pattern
    )
    options = EvaluationOptions(wanted, allow_missing, jobs, device, title, pictures)
    task = Task(inputs, _package(model) if prediction is None else None, out, options)
    with progress("cases") as tell:
        found = run_evaluation(task, tell, lambda note: click.echo(f"warning: {note}", err=True))
    _show(found.results, found.levels, found.title)
    if out is not None:
        click.echo(f"Tables and pictures in {out}")
    if prediction is not None:
        _warn_of_empty(found.results)
    _tell_failures(found.results)


def _refuse_what_does_not_fit(
    context: click.Context,
    reference: Path | None,
    dataset: Path | None,
    prediction: Path | None,
    images: Path | None,
    out: Path | None,
) -> None:
    given = {n for n in context.params if context.get_parameter_source(n) is not ParameterSource.DEFAULT}
    if (reference is None) == (dataset is None):
        raise UsageError("give either --reference or --dataset")
    if dataset is not None and prediction is None:
        raise UsageError(
            "--dataset needs --prediction",
            advice="`cspine predict --dataset` draws each case by a fold that did not learn from it.",
        )
    if prediction is None and images is None:
        raise UsageError("give --prediction, or --images for a model")
    if out is not None and (out.suffix.lower() == ".csv" or out.is_file()):
        raise UsageError(f"--out {out.name}: give a folder", advice="Its scores.csv has a row a case and level.")
    if dataset is not None and images is not None:
        raise UsageError("--images with --dataset", advice="The dataset has the images.")
    needless = ("model", "device") if prediction is not None else _OF_PREDICTIONS
    wrong = " and ".join(f"--{name.replace('_', '-')}" for name in needless if name in given)
    if wrong and prediction is not None:
        raise UsageError(f"{wrong} with --prediction", advice="Labels that are there need no model.")
    if wrong:
        raise UsageError(f"{wrong} without --prediction", advice="Give --prediction with labels that are there.")


_OF_PREDICTIONS = ("prediction_scheme", "prediction_pattern", "allow_missing", "jobs")


def _package(model: str | None) -> ModelPackage:
    from cspine.cli.models import wanted_model
    from cspine.models.package import load_package

    return load_package(wanted_model(model))


def _warn_of_empty(results: Sequence[CaseResult]) -> None:
    """Ask for the scheme where every level is missed: numbers of another scheme may all be background here."""
    scores = [score for result in results for score in result.scores]
    if scores and all(score.missed for score in scores):
        click.echo(
            "warning: no prediction has any of these levels: are --prediction-scheme and --levels right?", err=True
        )


def _tell_failures(results: Sequence[CaseResult]) -> None:
    failed = [result for result in results if result.error]
    for result in failed[:_MAX_FAILURES]:
        click.echo(f"failed: {result.case} {result.error}")
    if len(failed) > _MAX_FAILURES:
        click.echo(f"... and {len(failed) - _MAX_FAILURES} more: cases.csv names them")
    if failed:
        raise SomeStudiesFailedError(f"{len(failed)} of {counted(len(results), 'case')} failed")


# --- the printed tables -----------------------------------------------------------------------------------------------


def _show(results: Sequence[CaseResult], levels: Sequence[Vertebra], title: str) -> None:
    from cspine.io.tables import number
    from cspine.study.evaluation.summaries import by_part, levels_summary, summaries

    def cases(some: Sequence[CaseResult]) -> str:
        failed = sum(bool(result.error) for result in some)
        return counted(len(some), "case") + (f", {failed} of them failed and in no mean" if failed else "")

    columns = (
        "Level", "n", "Dice", "lowest", "HD95 mm", "ASSD mm", "volume error ml", "to neighbour %", "missed", "false",
        "identified",
    )  # fmt: skip
    for part, some in by_part(results).items() or [("", results)]:
        name = f"{title}, {part}" if part else title
        table(f"{name}: {cases(some)}", columns, [_row(level) for level in summaries(some, levels)])
    told = levels_summary(results)
    silent = told["cases_wrong_without_finding"]
    lines = [
        ["level accuracy", f"{number(told['level_accuracy']) or 'n/a'} of {told['vertebrae']} vertebrae"],
        ["identification rate", number(told["identification_rate"]) or "n/a"],
        ["cases with every level right", f"{told['cases_ok']} ({number(told['share_ok']) or 'n/a'})"],
        ["cases with a wrong level", str(told["cases_with_wrong_level"])],
        ["cases with a missed vertebra", str(told["cases_with_missed_level"])],
        ["wrong level without a finding", "n/a" if silent is None else str(silent)],
    ]
    table("Levels", ("Measure", "Value"), lines)


def _row(level: LevelSummary) -> list[str]:
    from cspine.io.tables import number

    dice = level.spreads["dice"]
    return [
        level.name,
        str(dice.n),
        _mean_sd(dice, 3),
        number(dice.lowest),
        _mean_sd(level.spreads["hd95_mm"], 2),
        _mean_sd(level.spreads["assd_mm"], 2),
        _mean_sd(level.spreads["volume_error_ml"], 2),
        _median_p95(level.spreads["given_to_neighbour"]),
        str(level.missed),
        str(level.false),
        number(level.identification_rate),
    ]


def _mean_sd(values: Spread, digits: int) -> str:
    from cspine.io.tables import number

    if values.sd is None:
        return number(values.mean, digits)
    return f"{number(values.mean, digits)} +- {number(values.sd, digits)}"


def _median_p95(values: Spread) -> str:
    """Return median and 95th percentile of shares, in per cent."""
    from cspine.io.tables import number

    if values.median is None or values.p95 is None:
        return ""
    return f"{number(100 * values.median, 1)} / {number(100 * values.p95, 1)}"
