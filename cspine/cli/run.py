"""`cspine run IN OUT`: from a CT to its labels, as a DICOM Segmentation or as NIfTI, with a report."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from cspine.cli.run_options import model_package, run_options, run_settings, wanted_model_folder
from cspine.core.errors import DicomSourceNeededError, SomeStudiesFailedError, UsageError, as_defect
from cspine.core.findings import FINDINGS_LOG
from cspine.io.console import held_back, print_error, progress
from cspine.pipeline.outputs import check_outputs
from cspine.pipeline.source import SourceKind, kind_of_source
from cspine.report.terminal import print_results

if TYPE_CHECKING:
    from cspine.dicom.scan import Scan
    from cspine.models.package import ModelPackage
    from cspine.pipeline.settings import RunSettings

_log = logging.getLogger(__name__)


@click.command(name="run")
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@run_options
@click.option("--series-uid", help="Choose this series, regardless of the rules.")
@click.option(
    "--incomplete",
    is_flag=True,
    envvar="CSPINE_INCOMPLETE",
    show_envvar=True,
    help="The transfer was incomplete: report it as a finding.",
)
@click.option("--all-studies", is_flag=True, help="Run on every study in IN, each into OUT/<hashed study>/.")
@click.option("--overwrite", is_flag=True, help="Replace existing results in OUT.")
@click.option("--prior", type=click.Path(path_type=Path), help="Output folder of an earlier run: report changes since.")
@click.pass_context
def command(context: click.Context, /, source: Path, out: Path, **options: object) -> None:
    """Segment the vertebrae of the CT study in IN (a folder or a .zip of DICOM, or a .nii.gz); write results into OUT.

    \b
    OUT/dicom/segmentation.dcm   DICOM Segmentation, one segment per vertebra (for DICOM)
    OUT/dicom/measurements.dcm   DICOM SR with the measurements, TID 1500 (for DICOM)
    OUT/report/labels.nii.gz     labels with the numbers of VerSe (for NIfTI, or by --outputs)
    OUT/report/preview.png       sagittal, coronal and axial pictures
    OUT/report/measurements.csv  sizes, canal, discs, alignment and density with their uncertainty
    OUT/report/report.html       findings, slices, 3-D view, measurements, in one page
    OUT/report/surfaces/         surfaces of the vertebrae (by --outputs; docs/guide/surfaces.md)
    OUT/report/fe/               finite-element model (by --outputs)
    OUT/report/summary.json      series and reasons, model, volumes, HU, findings, timings, settings

    Results appear when they are complete; a failed run leaves none, and exits with a code of docs/reference/errors.md.
    `cspine series IN` shows which series would be chosen. All dates are those of SOURCE_DATE_EPOCH if it is set.
    A full-spine model segments every vertebra in any CT of the spine: docs/guide/full-spine.md.
    """  # noqa: D301
    # Errors of the command line are reported before libraries of images and networks are loaded.
    if options["all_studies"] and options["series_uid"]:
        raise UsageError("--series-uid and --all-studies exclude each other", advice="Omit one of them.")
    kind = kind_of_source(source)
    settings = _settings(options)
    check_outputs(settings, has_dicom=kind is SourceKind.DICOM)
    if kind is SourceKind.NIFTI and (options["all_studies"] or options["series_uid"]):
        raise UsageError("a NIfTI file has no studies and no series", advice="Omit --all-studies and --series-uid.")
    if kind is SourceKind.NIFTI and context.get_parameter_source("seg_type") is ParameterSource.COMMANDLINE:
        raise DicomSourceNeededError("--seg-type was given, and a NIfTI file has no DICOM Segmentation")
    wanted_model_folder(options)

    from cspine.dicom.archive import open_input
    from cspine.io.output import StudyOutput
    from cspine.pipeline.steps import read_headers
    from cspine.pipeline.study import run_image, run_study

    package = model_package(options)
    overwrite = bool(options["overwrite"])
    if kind is SourceKind.NIFTI:
        output = StudyOutput(out, overwrite=overwrite, inputs=(settings.prior,))
        with output, held_back(FINDINGS_LOG), progress("tiles") as on_progress:
            summary = run_image(source, package, settings, output, on_progress)
        print_results(summary, out)
        return
    with open_input(source) as folder:
        scan = read_headers(folder)
        if options["all_studies"]:
            _run_all(scan, package, settings, out, overwrite=overwrite)
            return
        output = StudyOutput(out, overwrite=overwrite, inputs=(settings.prior,))
        with output, held_back(FINDINGS_LOG), progress("tiles") as on_progress:
            summary = run_study(scan, package, settings, output, on_progress)
    print_results(summary, out)


def _settings(options: dict[str, object]) -> RunSettings:
    """Return the settings of the run, with what only this command has."""
    from cspine.dicom.clock import Clock

    settings = run_settings(options, Clock.from_environment())
    return replace(
        settings,
        incomplete=bool(options["incomplete"]),
        prior=Path(str(options["prior"])) if options["prior"] is not None else None,
    )


def _run_all(scan: Scan, package: ModelPackage, settings: RunSettings, out: Path, *, overwrite: bool) -> None:
    """Run on one study after another; one that fails does not stop the others."""
    from cspine.dicom.replacement import refuse_other_patient
    from cspine.io.output import StudyOutput
    from cspine.pipeline.study import run_study

    studies = scan.named_studies()
    failed: list[str] = []
    for number, (name, study) in enumerate(studies.items(), 1):
        _log.info("study %d of %d: %s", number, len(studies), name)
        try:
            refuse_other_patient(out / name, study.series[0].patient_key)
            output = StudyOutput(out / name, overwrite=overwrite, inputs=(settings.prior,))
            with output, held_back(FINDINGS_LOG), progress("tiles") as on_progress:
                summary = run_study(study, package, settings, output, on_progress)
        except Exception as unforeseen:  # one study must not stop the others
            error = as_defect(unforeseen)
            print_error(error)
            failed.append(f"{name} {error.code}")
            continue
        print_results(summary, out / name)
    click.echo(f"{len(studies) - len(failed)} of {len(studies)} studies done.")
    if failed:
        raise SomeStudiesFailedError(f"{len(failed)} of {len(studies)} studies failed: {', '.join(failed)}")
