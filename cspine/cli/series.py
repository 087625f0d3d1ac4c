"""`cspine series`: the series of a folder, which one would be chosen, and why."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cspine.core.errors import UsageError
from cspine.io.console import table
from cspine.io.tables import counted
from cspine.pipeline.source import SourceKind, kind_of_source

if TYPE_CHECKING:
    from cspine.core.anatomy import Vertebra
    from cspine.core.volumes import Record
    from cspine.pipeline.series_list import InputListing, ListedSeries

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
    "Decision",
)


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--rules",
    "rules_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="YAML with selection rules (docs/guide/selection.md).  [default: those of cspine]",
)
@click.option("--model", help="Without --rules: use the rules for this model's levels.")
@click.option("--series-uid", help="Show the decisions as if this series were requested.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON instead of a table.")
def command(directory: Path, rules_file: Path | None, model: str | None, series_uid: str | None, as_json: bool) -> None:
    """Show every DICOM series below DIR (a folder or a .zip) and why it would be chosen or rejected.

    Only headers are read, and nothing is run. The UID of a series can be given to `cspine run --series-uid`.
    """
    from cspine.pipeline.series_list import list_input

    if directory.is_file() and kind_of_source(directory) is SourceKind.NIFTI:
        raise UsageError("a NIfTI file has no DICOM series", advice="`cspine run` takes the file itself.")
    listing = list_input(directory, rules_file, series_uid, _levels(model))
    if as_json:
        click.echo(json.dumps(_document(listing), indent=2, ensure_ascii=False))
        return
    for number, series in enumerate(listing.studies, start=1):
        title = f"Study {number} of {len(listing.studies)} ({series[0].study})"
        table(title, _COLUMNS, [_row(each) for each in series])
    studies = f"{counted(listing.patients, 'patient')}, {counted(len(listing.studies), 'study', 'studies')}"
    click.echo(f"{studies}, {listing.series_found} series.")
    click.echo(f"Skipped: {listing.skipped}; {listing.damaged} damaged DICOM files.")


def _levels(model: str | None) -> tuple[Vertebra, ...]:
    """Return the levels of a model; without one, those of a cervical model."""
    from cspine.core.anatomy import CERVICAL_LEVELS

    if model is None:
        return CERVICAL_LEVELS
    from cspine.cli.models import wanted_model
    from cspine.models.package import load_package

    return load_package(wanted_model(model)).levels


def _row(series: ListedSeries) -> tuple[str, ...]:
    return (
        "" if series.series_number is None else str(series.series_number),
        series.series_uid,
        series.description,
        series.kernel,
        _thickness(series),
        str(series.slices),
        f"{series.coverage_mm:.0f} mm",
        series.orientation,
        "yes" if series.contrast else "",
        series.reason,
    )


def _thickness(series: ListedSeries) -> str:
    """Return the slice thickness, with the distance between slices where it differs."""
    thickness, step = series.slice_thickness_mm, series.step_mm
    if thickness is None:
        return "" if step is None else f"every {step:g} mm"
    if step is None or abs(step - thickness) <= 0.05 * thickness:
        return f"{thickness:g} mm"
    return f"{thickness:g} mm, every {step:g} mm"


def _document(listing: InputListing) -> Record:
    return {
        "skipped": {
            "dicomdir": listing.skipped.directories,
            "json": listing.skipped.sidecars,
            "not_dicom": listing.skipped.not_dicom,
            "copies": listing.skipped.copies,
        },
        "damaged": listing.damaged,
        "studies": [
            {"study": study[0].study, "series": [_series_record(series) for series in study]}
            for study in listing.studies
        ],
    }


def _series_record(series: ListedSeries) -> Record:
    record = asdict(series)
    del record["study"]
    return record
