"""`cspine run IN OUT`: from a folder of DICOM to a DICOM Segmentation with its report."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cspine.cli.run_options import model_package, run_options, run_settings
from cspine.core.errors import SomeStudiesFailedError, UsageError, as_defect, hashed
from cspine.io.console import print_error, progress
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
@click.option("--series-uid", help="Take this series, whatever the rules say.")
@click.option(
    "--incomplete", is_flag=True, help="The sender broke off: the result says so.  [env: CSPINE_INCOMPLETE=1]"
)
@click.option("--all-studies", is_flag=True, help="Run on every study in IN, each into OUT/<hashed study>/.")
@click.option("--overwrite", is_flag=True, help="Replace results that are in OUT.")
def command(source: Path, out: Path, **options: object) -> None:
    """Segment the vertebrae of the CT study in IN (a folder or a .zip) and write the results into OUT.

    \b
    OUT/dicom/segmentation.dcm   DICOM Segmentation, one segment a vertebra
    OUT/report/preview.png       sagittal, coronal and axial pictures
    OUT/report/summary.json      series and reasons, model, volumes, HU, findings, timings, settings

    Results appear when they are whole; a failed run leaves none, and its exit code tells why (docs/errors.md).
    `cspine series IN` shows beforehand which series would be taken. Dates follow SOURCE_DATE_EPOCH where it is set.
    A full-spine model writes every vertebra of any CT of the spine: docs/full-spine.md.
    """  # noqa: D301
    from cspine.dicom.archive import open_input
    from cspine.dicom.clock import Clock
    from cspine.io.output import StudyOutput
    from cspine.pipeline.settings import sender_broke_off
    from cspine.pipeline.steps import read_headers
    from cspine.pipeline.study import run_study

    if options["all_studies"] and options["series_uid"]:
        raise UsageError("--series-uid names one series of one study", advice="Leave --all-studies out.")
    incomplete = bool(options["incomplete"]) or sender_broke_off(os.environ)
    settings = replace(run_settings(options, Clock.from_environment()), incomplete=incomplete)
    package = model_package(options)
    with open_input(source) as folder:
        scan = read_headers(folder)
        if options["all_studies"]:
            _run_all(scan, package, settings, out, overwrite=bool(options["overwrite"]))
            return
        with StudyOutput(out, overwrite=bool(options["overwrite"])) as output, progress("tiles") as tell:
            summary = run_study(scan, package, settings, output, tell)
    print_results(summary, out)


def _run_all(scan: Scan, package: ModelPackage, settings: RunSettings, out: Path, *, overwrite: bool) -> None:
    """Run on one study after another; one that fails does not stop the others."""
    from cspine.io.output import StudyOutput
    from cspine.pipeline.study import run_study

    studies = scan.studies()
    failed: list[str] = []
    names: set[str] = set()
    for number, study in enumerate(studies, 1):
        name = hashed(study.series[0].study_uid)
        if name in names:  # two patients under one study UID
            name = hashed(study.series[0].patient_key + study.series[0].study_uid)
        names.add(name)
        _log.info("study %d of %d: %s", number, len(studies), name)
        try:
            with StudyOutput(out / name, overwrite=overwrite) as output, progress("tiles") as tell:
                summary = run_study(study, package, settings, output, tell)
        except Exception as unforeseen:  # one study must not stop the others
            error = as_defect(unforeseen)
            print_error(error)
            failed.append(f"{name} {error.code}")
            continue
        print_results(summary, out / name)
    click.echo(f"{len(studies) - len(failed)} of {len(studies)} studies done.")
    if failed:
        raise SomeStudiesFailedError(f"{len(failed)} of {len(studies)} studies failed: {', '.join(failed)}")
