"""`cspine predict`: the labels of a model for many images."""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource

from cspine.cli.run_options import inference_options, inference_settings
from cspine.core.errors import InputError, SomeStudiesFailedError, UsageError
from cspine.io.console import progress
from cspine.io.tables import counted

_SHOWN = 20
_TESTS = "internal,external"


@click.command(name="predict")
@click.option("--model", help="Name of an installed model package, or its folder.  [default: cervical-demo]")
@click.option("--input", "source", type=click.Path(path_type=Path), help="Folder of NIfTI or DICOM files, or a file.")
@click.option("--dataset", type=click.Path(path_type=Path), help="Dataset of `cspine dataset split`, instead.")
@click.option("--subsets", help=f"With --dataset: some of training, internal, external.  [default: {_TESTS}]")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of labels, one per model.")
@click.option("--raw", is_flag=True, help="Do not clean the labels of the network, as nnU-Net's own predictor.")
@inference_options
@click.option("--rules", "rules_file", type=click.Path(path_type=Path), help="For DICOM: YAML of selection rules.")
@click.pass_context
def command(
    context: click.Context,
    /,
    model: str | None,
    source: Path | None,
    dataset: Path | None,
    subsets: str | None,
    out: Path,
    raw: bool,
    rules_file: Path | None,
    **options: object,
) -> None:
    """Predict the vertebrae of many images: OUT/NAME.nii.gz with the numbers of VerSe, on each image's own voxels.

    --input takes NIfTI files (NAME_0000.nii.gz or NAME.nii.gz), or DICOM: the series of each study that `cspine run`
    would choose, named after its folder, or by its hashed UID. Labels are cleaned as in `cspine run`; --raw omits
    this step.

    --dataset takes the cases of a dataset. A training case is predicted by the one fold that was not trained on it; a
    model of another split is refused. The other subsets are predicted by all folds.

    OUT/predictions.csv has one row per case: folds, model, levels, findings, seconds, error. OUT/sources.csv gives
    the local path of each case and its hashed name in the log: keep it with the images. The same command resumes
    after an interrupt, and retries failed cases. A case that fails is listed; the others are processed, and the
    exit code is 11.
    """
    if raw and options["roi"] != "full" and context.get_parameter_source("roi") is ParameterSource.COMMANDLINE:
        raise UsageError(
            "--raw and --roi auto exclude each other", advice="Omit --roi: the raw labels are those of complete images."
        )
    if source is not None and dataset is None and subsets is None and not source.exists():
        raise InputError("--input does not exist", advice="Give a NIfTI file, or a folder of NIfTI or DICOM files.")
    from cspine.cli.models import wanted_model
    from cspine.models.package import load_package
    from cspine.study.prediction.predict import PredictionTask, run_prediction

    task = PredictionTask(out, source, dataset, subsets, inference_settings(options), raw=raw, rules_file=rules_file)
    package = load_package(wanted_model(model))
    with progress("cases") as on_progress:
        records = run_prediction(task, package, on_progress, lambda note: click.echo(f"warning: {note}", err=True))
    failed = [record for record in records if record.error]
    predicted = f"{len(records) - len(failed)} of {counted(len(records), 'case')} predicted"
    click.echo(f"{predicted} by {package.identity.title} in {out}")
    for record in failed[:_SHOWN]:
        click.echo(f"failed: {record.case} {record.error}")
    if failed:
        raise SomeStudiesFailedError(
            f"{len(failed)} of {counted(len(records), 'case')} failed",
            advice=f"{out / 'predictions.csv'} names each with its reason.",
        )
