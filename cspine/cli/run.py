"""`cspine run IN OUT`: from a folder of DICOM to a DICOM Segmentation with its report."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cspine.cli.console import complain, progress, tell_results
from cspine.errors import SomeStudiesFailedError, UsageError, as_defect, hashed

if TYPE_CHECKING:
    from cspine.dicom.scan import Scan
    from cspine.models.package import ModelPackage
    from cspine.pipeline import RunSettings

_log = logging.getLogger(__name__)


@click.command(name="run")
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--model", help="Name of an installed model package, or its folder.  [default: cervical-demo]")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--folds", help="Folds of the model to average, for example 0,1,2.  [default: all]")
@click.option("--mirror/--no-mirror", default=False, show_default=True, help="Test-time mirroring: up to 8 x the time.")
@click.option(
    "--step-size", default=0.5, show_default=True, type=click.FloatRange(0.1, 1.0), help="Of tiles, in patches."
)
@click.option(
    "--precision", default="auto", show_default=True, type=click.Choice(["auto", "float32", "bfloat16"]),
    help="Arithmetic of the network: float32 on a CPU, autocast on CUDA.",
)  # fmt: skip
@click.option(
    "--seg-type", default="binary", show_default=True, type=click.Choice(["binary", "labelmap"]),
    help="How the DICOM Segmentation stores its labels.",
)  # fmt: skip
@click.option("--series-uid", help="Take this series, whatever the rules say.")
@click.option("--rules", "rules_file", type=click.Path(path_type=Path), help="YAML of selection rules.")
@click.option("--repair-gaps", is_flag=True, help="Run on the longest regular part of a series with gaps.")
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
    """  # noqa: D301
    from cspine.cli.models import places
    from cspine.dicom.archive import opened
    from cspine.models.package import load_package
    from cspine.models.registry import find_model
    from cspine.output import StudyOutput
    from cspine.pipeline import read_headers, run_study

    if options["all_studies"] and options["series_uid"]:
        raise UsageError("--series-uid names one series of one study", advice="Leave --all-studies out.")
    settings = _settings(options)
    model = options["model"]
    package = load_package(find_model(str(model) if model else None, places()))
    with opened(source) as folder:
        scan = read_headers(folder)
        if options["all_studies"]:
            _run_all(scan, package, settings, out, overwrite=bool(options["overwrite"]))
            return
        with StudyOutput(out, overwrite=bool(options["overwrite"])) as output, progress("tiles") as tell:
            summary = run_study(scan, package, settings, output, tell)
    tell_results(summary, out)


def _settings(options: dict[str, object]) -> RunSettings:
    from cspine.dicom.clock import Clock
    from cspine.dicom.seg import SegType
    from cspine.inference.settings import InferenceSettings
    from cspine.pipeline import RunSettings
    from cspine.wholeness import sender_broke_off

    folds = str(options["folds"]).split(",") if options["folds"] else None
    inference = InferenceSettings(
        device=str(options["device"]),
        folds=tuple(fold.strip() for fold in folds) if folds else None,
        mirror=bool(options["mirror"]),
        step_size=float(str(options["step_size"])),
        precision=options["precision"],  # type: ignore[arg-type]
    )
    rules = options["rules_file"]
    return RunSettings(
        clock=Clock.from_environment(),
        inference=inference,
        seg_type=SegType(str(options["seg_type"])),
        rules_file=Path(str(rules)) if rules else None,
        series_uid=str(options["series_uid"]) if options["series_uid"] else None,
        repair_gaps=bool(options["repair_gaps"]),
        incomplete=bool(options["incomplete"]) or sender_broke_off(os.environ),
    )


def _run_all(scan: Scan, package: ModelPackage, settings: RunSettings, out: Path, *, overwrite: bool) -> None:
    """Run on one study after another; one that fails does not stop the others."""
    from cspine.output import StudyOutput
    from cspine.pipeline import run_study

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
            complain(error)
            failed.append(f"{name} {error.code}")
            continue
        tell_results(summary, out / name)
    click.echo(f"{len(studies) - len(failed)} of {len(studies)} studies done.")
    if failed:
        raise SomeStudiesFailedError(f"{len(failed)} of {len(studies)} studies failed: {', '.join(failed)}")
