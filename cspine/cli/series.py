"""`cspine series`: what is in a folder, which series would be chosen, and why."""

from __future__ import annotations

import json
from pathlib import Path

import click

from cspine.core.errors import UnknownSeriesError, hashed
from cspine.core.volumes import Record
from cspine.dicom.archive import open_input
from cspine.dicom.rules import Rules, load_rules
from cspine.dicom.scan import Scan, one_study, scan_folder
from cspine.dicom.select import SeriesDecision, evaluate_series
from cspine.io.console import table

_COLUMNS = (
    "No.",
    "Series UID",
    "Description",
    "Kernel",
    "Slice mm",
    "Slices",
    "Covers",
    "Plane",
    "Contrast",
    "SeriesDecision",
)


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--rules",
    "rules_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="YAML with selection rules (docs/selection.md); cspine's own where it is left out.",
)
@click.option("--model", help="Without --rules: take the rules for this model's levels.")
@click.option("--series-uid", help="Show the decisions as if this series were asked for.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON instead of a table.")
def command(directory: Path, rules_file: Path | None, model: str | None, series_uid: str | None, as_json: bool) -> None:
    """Show every DICOM series below DIR (a folder or a .zip) and why it would be chosen or refused.

    Only headers are read, and nothing is run. The UID of a series can be given to `cspine run --series-uid`.
    """
    rules = load_rules(rules_file, full_spine=_is_full_spine(model))
    with open_input(directory) as folder:
        scan = scan_folder(folder)
        studies = _evaluated(scan, rules, series_uid)
    if as_json:
        click.echo(json.dumps(_document(scan, studies), indent=2, ensure_ascii=False))
        return
    patients = {series.patient_key for series in scan.series}
    for number, decisions in enumerate(studies, start=1):
        study = hashed(decisions[0].series.study_uid)
        table(f"Study {number} of {len(studies)} ({study})", _COLUMNS, [_row(decision) for decision in decisions])
    click.echo(f"{len(patients)} patient(s), {len(studies)} study(ies), {len(scan.series)} series.")
    click.echo(f"Left out: {scan.skipped}; {len(scan.damaged)} damaged DICOM files.")


def _is_full_spine(model: str | None) -> bool:
    """Tell whether a model goes on below T1; False where none is named."""
    if model is None:
        return False
    from cspine.cli.models import wanted_model
    from cspine.core.anatomy import is_full_spine
    from cspine.models.package import load_package

    return is_full_spine(load_package(wanted_model(model)).levels)


def _evaluated(scan: Scan, rules: Rules, series_uid: str | None) -> list[tuple[SeriesDecision, ...]]:
    if series_uid is None:
        return [evaluate_series(study, rules) for study in scan.studies()]
    if all(series.series_uid != series_uid for series in scan.series):
        raise UnknownSeriesError(f"series {hashed(series_uid)} is not among the {len(scan.series)} series of the input")
    return [evaluate_series(one_study(scan, series_uid), rules, series_uid)]


def _row(decision: SeriesDecision) -> tuple[str, ...]:
    series = decision.series
    thickness = series.slice_thickness_mm
    return (
        "" if series.series_number is None else str(series.series_number),
        series.series_uid,
        series.description,
        series.kernel,
        "" if thickness is None else f"{thickness:g} mm",
        str(series.slices),
        f"{series.coverage_mm:.0f} mm",
        series.orientation,
        "yes" if series.contrast else "",
        decision.reason,
    )


def _document(scan: Scan, studies: list[tuple[SeriesDecision, ...]]) -> Record:
    return {
        "skipped": {
            "dicomdir": scan.skipped.directories,
            "json": scan.skipped.sidecars,
            "not_dicom": scan.skipped.not_dicom,
            "copies": scan.skipped.copies,
        },
        "damaged": len(scan.damaged),
        "studies": [
            {
                "study": hashed(decisions[0].series.study_uid),
                "series": [_series_record(decision) for decision in decisions],
            }
            for decisions in studies
        ],
    }


def _series_record(decision: SeriesDecision) -> Record:
    series = decision.series
    return {
        "series_uid": series.series_uid,
        "series_number": series.series_number,
        "modality": series.modality,
        "image_type": list(series.image_type),
        "description": series.description,
        "kernel": series.kernel,
        "body_part": series.body_part,
        "slice_thickness_mm": series.slice_thickness_mm,
        "step_mm": series.step_mm,
        "slices": series.slices,
        "coverage_mm": round(series.coverage_mm, 2),
        "orientation": series.orientation,
        "contrast": series.contrast,
        "damaged_files": series.damaged,
        "suitable": decision.suitable,
        "chosen": decision.chosen,
        "reason": decision.reason,
    }
