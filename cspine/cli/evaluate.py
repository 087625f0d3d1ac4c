"""`cspine evaluate`: overlap, surfaces, volumes and levels of the labels of a model or of any other system."""

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
    from cspine.pipeline.label_schemes import MASKS, NNUNET, SCHEMES, SEG

    rows = [[scheme.name, scheme.title, scheme.numbers_text, scheme.others_are] for scheme in SCHEMES.values()]
    rows.append([NNUNET, "any nnU-Net v2 dataset or prediction", "by the names in dataset.json", "every other name"])
    rows.append([MASKS, "one folder per case, one file per vertebra", "vertebrae_C1.nii.gz ...", "every other file"])
    rows.append([SEG, "DICOM Segmentations, *.dcm", "by the codes or labels of the segments", "every other segment"])
    table("Label schemes", ("name", "system", "numbers", "background"), rows)
    context.exit()


@click.command(name="evaluate")
@click.option("--reference", type=_FOLDER, help="Folder of reference labels.")
@click.option("--dataset", type=_FOLDER, help="nnU-Net dataset of cspine with references, images and subsets.")
@click.option("--prediction", type=_FOLDER, help="Folder of labels to evaluate, matched by name.")
@click.option("--images", type=_FOLDER, help="Folder of CT images, NAME_0000.nii.gz; with --prediction for pictures.")
@click.option("--model", help="With --images: model package that segments them.  [default: cervical-demo]")
@click.option("--device", default="auto", show_default=True, help="With --images: auto, cpu, cuda or cuda:N.")
@click.option("--cases", type=_FOLDER, help="cases.csv of a dataset: the subset and fold of each case.")
@click.option("--subsets", metavar="SUBSET,...", help="Only these subsets: training, internal, external.")
@click.option("--reference-scheme", metavar="NAME", help=_SCHEME)
@click.option("--prediction-scheme", metavar="NAME", help=_SCHEME)
@click.option("--prediction-pattern", metavar="TEXT", help="Name of a prediction, for example '{case}_msk.nii.gz'.")
@click.option("--levels", metavar="C1-L6", help="Levels to compare.  [default: those of the model or the schemes]")
@click.option("--allow-missing", is_flag=True, help="List cases without a prediction as failed, and continue.")
@click.option("--title", help="Name for tables and reports.  [default: the model, or the folder of predictions]")
@click.option("--jobs", type=click.IntRange(1), help="With --prediction: processes.  [default: one per core]")
@click.option("--pictures", type=click.IntRange(0), metavar="N", help="Only the N worst cases on sheets; 0 for none.")
@click.option("--out", type=_FOLDER, help="Folder for tables, labels and pictures.")
@click.option(
    "--list-schemes", is_flag=True, is_eager=True, expose_value=False, callback=_list_schemes,
    help="Print the label schemes and exit.",
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
    subsets: str | None,
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
    """Compare labels with a reference by level: Dice, HD95, ASSD, volume, and whether each level is correct.

    Give --prediction for existing labels, of cspine or of any system with a known label scheme; or only --images,
    to segment and clean them with a model as `cspine run` does. References come from --reference, or from the
    labels of a --dataset, which also gives the subsets training, internal and external.

    Predictions and references are NAME.nii.gz, NAME_0000.nii.gz, NAME_seg.nii.gz, or a folder NAME with one mask per
    vertebra (TotalSegmentator) or one file; DICOM Segmentations, NAME.dcm; or the folder NAME of `cspine run`.
    Labels in another orientation are reoriented; labels on another grid are refused.

    A level that only one of the two has counts as Dice 0; HD95 and ASSD are over the cases where both have it. Label
    leakage (to neighbour) is the share of a reference vertebra that has the label above or below (median and 95th
    percentile). A vertebra is identified, as VerSe defines it, if the nearest centroid of the prediction has its
    level, within 20 mm. Level accuracy is the share of the reference's vertebrae (0.5 ml or more in view) of which
    most labelled voxels have the correct level. docs/guide/evaluation.md has every definition.

    \b
    OUT/sheet.png      prediction beside reference, worst cases first (sheet-1.png, ... for more than 16)
    OUT/levels.csv     one row per level, and for [C1,T1] and [C1,L6]: mean, SD, median, range, missed, false
    OUT/cases.csv      one row per case: means, level accuracy, wrong levels, findings
    OUT/scores.csv     one row per case and level
    OUT/files.csv      which files were compared
    OUT/summary.json   all cases together; `cspine compare` reads such folders
    OUT/labels/        with --images: the predicted labels

    A case with unusable files, or whose segmentation fails, is listed and excluded from the means; the others are
    processed, and the exit code is 11.
    """  # noqa: D301
    _refuse_what_does_not_fit(context, reference, dataset, prediction, images, out)
    wanted = wanted_levels(levels, "--levels") if levels is not None else ()
    if reference is not None and not reference.is_dir():
        raise InputError("--reference is not a folder", advice="Give the folder of reference labels.")
    from cspine.study.evaluation.evaluate import EvaluationOptions, Task, run_evaluation
    from cspine.study.evaluation.pairing import Inputs

    chosen = tuple(subset.strip() for subset in subsets.split(",")) if subsets is not None else ()
    inputs = Inputs(
        reference, dataset, prediction, images, cases, chosen, reference_scheme, prediction_scheme, prediction_pattern
    )
    options = EvaluationOptions(wanted, allow_missing, jobs, device, title, pictures)
    task = Task(inputs, _package(model) if prediction is None else None, out, options)
    with progress("cases") as on_progress:
        found = run_evaluation(task, on_progress, lambda note: click.echo(f"warning: {note}", err=True))
    _show(found.results, found.levels, found.title)
    if out is not None:
        click.echo(f"Tables and pictures in {out}")
    if prediction is not None:
        _warn_of_empty(found.results)
    _report_failures(found.results)


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
            advice="`cspine predict --dataset` predicts each case by a fold that was not trained on it.",
        )
    if prediction is None and images is None:
        raise UsageError("give --prediction, or --images for a model")
    if out is not None and (out.suffix.lower() == ".csv" or out.is_file()):
        raise UsageError(
            f"--out {out.name}: give a folder", advice="Its scores.csv will have one row per case and level."
        )
    if dataset is not None and images is not None:
        raise UsageError("--images cannot be combined with --dataset", advice="Omit it: the dataset has the images.")
    needless = ("model", "device") if prediction is not None else _OF_PREDICTIONS
    wrong = " and ".join(f"--{name.replace('_', '-')}" for name in needless if name in given)
    if wrong and prediction is not None:
        raise UsageError(f"{wrong} cannot be combined with --prediction", advice="Existing labels need no model.")
    if wrong:
        raise UsageError(f"{wrong} requires --prediction", advice="Give --prediction with existing labels.")


_OF_PREDICTIONS = ("prediction_scheme", "prediction_pattern", "allow_missing", "jobs")


def _package(model: str | None) -> ModelPackage:
    from cspine.cli.models import wanted_model
    from cspine.models.package import load_package

    return load_package(wanted_model(model))


def _warn_of_empty(results: Sequence[CaseResult]) -> None:
    """Warn if every level is missed: numbers of another scheme may all be background here."""
    scores = [score for result in results for score in result.scores]
    if scores and all(score.missed for score in scores):
        click.echo("warning: no prediction has any of these levels; check --prediction-scheme and --levels", err=True)


def _report_failures(results: Sequence[CaseResult]) -> None:
    failed = [result for result in results if result.error]
    for result in failed[:_MAX_FAILURES]:
        click.echo(f"failed: {result.case} {result.error}")
    if len(failed) > _MAX_FAILURES:
        click.echo(f"... and {len(failed) - _MAX_FAILURES} more, all in cases.csv")
    if failed:
        raise SomeStudiesFailedError(f"{len(failed)} of {counted(len(results), 'case')} failed")


# --- the printed tables -----------------------------------------------------------------------------------------------


def _show(results: Sequence[CaseResult], levels: Sequence[Vertebra], title: str) -> None:
    from cspine.io.tables import number
    from cspine.study.evaluation.summaries import by_subset, levels_summary, summaries

    def cases(some: Sequence[CaseResult]) -> str:
        failed = sum(bool(result.error) for result in some)
        return counted(len(some), "case") + (f", {failed} of them failed and excluded from the means" if failed else "")

    columns = (
        "Level", "n", "Dice", "lowest", "HD95 mm", "ASSD mm", "volume error ml", "to neighbour %", "missed", "false",
        "identified",
    )  # fmt: skip
    for subset, some in by_subset(results).items() or [("", results)]:
        name = f"{title}, {subset}" if subset else title
        table(f"{name}: {cases(some)}", columns, [_row(level) for level in summaries(some, levels)])
    summary = levels_summary(results)
    unreported = summary["cases_wrong_without_finding"]
    lines = [
        ["level accuracy", f"{number(summary['level_accuracy']) or 'n/a'} of {summary['vertebrae']} vertebrae"],
        ["identification rate", number(summary["identification_rate"]) or "n/a"],
        ["cases with every level correct", f"{summary['cases_ok']} ({number(summary['share_ok']) or 'n/a'})"],
        ["cases with a wrong level", str(summary["cases_with_wrong_level"])],
        ["cases with a missed vertebra", str(summary["cases_with_missed_level"])],
        ["wrong level without a finding", "n/a" if unreported is None else str(unreported)],
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
