"""The tables of a cohort: studies, vertebrae, measurements and failures, as CSV and Parquet.

Parquet needs pyarrow, which belongs to the extra ``cohort``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cspine.cohort.folder import StudyRecord
from cspine.core.errors import MissingExtraError
from cspine.io.files import write_atomic
from cspine.io.output import SEGMENTATION
from cspine.io.tables import write_csv
from cspine.measurements.quantities import quantity
from cspine.report.summary import Summary

_SEGMENTATION = f"dicom/{SEGMENTATION}"
#: Columns of results.csv and results.parquet, with their Arrow types.
STUDY_COLUMNS: Mapping[str, str] = {
    "name": "string",
    "outcome": "string",
    "code": "string",
    "message": "string",
    "study": "string",
    "series": "string",
    "slices": "int64",
    "spacing_x_mm": "float64",
    "spacing_y_mm": "float64",
    "spacing_z_mm": "float64",
    "levels": "string",
    "vertebra_count": "int64",
    "findings": "string",
    "serious_findings": "int64",
    "seconds": "float64",
    "attempts": "int64",
    "device": "string",
    "model": "string",
    "model_version": "string",
    "model_checksum": "string",
    "cspine_version": "string",
    "segmentation_sha256": "string",
}

#: Columns of vertebrae.csv and vertebrae.parquet, with their Arrow types.
VERTEBRA_COLUMNS: Mapping[str, str] = {
    "name": "string",
    "level": "string",
    "label": "int64",
    "segment": "int64",
    "volume_ml": "float64",
    "mean_hu": "float64",
    "std_hu": "float64",
    "centroid_left_mm": "float64",
    "centroid_posterior_mm": "float64",
    "centroid_superior_mm": "float64",
    "extent_right_left_mm": "float64",
    "extent_anterior_posterior_mm": "float64",
    "extent_inferior_superior_mm": "float64",
    "touches_edge": "bool",
    "findings": "string",
}

#: Columns of measurements.csv and measurements.parquet, with their Arrow types.
MEASUREMENT_COLUMNS: Mapping[str, str] = {
    "name": "string",
    "site": "string",
    "scope": "string",
    "quantity": "string",
    "value": "float64",
    "unit": "string",
    "uncertainty": "float64",
    "z_score": "float64",
    "published_low": "float64",
    "published_high": "float64",
}

_FAILURE_COLUMNS = ("name", "code", "message", "advice", "attempts")

Row = dict[str, Any]


def write_tables(records: Sequence[StudyRecord], folder: Path) -> tuple[Path, ...]:
    """Write the tables of results, vertebrae, measurements and failures.

    Parameters
    ----------
    records : sequence of StudyRecord
        In the order of the rows.
    folder : Path
        OUT/cohort.

    Returns
    -------
    tuple of Path
        The files.

    Raises
    ------
    MissingExtraError
        If pyarrow is not installed.
    OutputError
        If a file cannot be written.
    """
    studies = [study_row(record) for record in records]
    vertebrae = [row for record in records for row in vertebra_rows(record)]
    measurements = [row for record in records for row in measurement_rows(record)]
    written = []
    for name, columns, rows in (
        ("results", STUDY_COLUMNS, studies),
        ("vertebrae", VERTEBRA_COLUMNS, vertebrae),
        ("measurements", MEASUREMENT_COLUMNS, measurements),
    ):
        write_csv(folder / f"{name}.csv", list(columns), [[_text(row.get(c)) for c in columns] for row in rows])
        _write_parquet(folder / f"{name}.parquet", columns, rows)
        written += [folder / f"{name}.csv", folder / f"{name}.parquet"]
    failed = [record for record in records if record.summary is None]
    failures = [[r.name, r.code, r.message, r.advice, str(r.attempts)] for r in failed]
    write_csv(folder / "failures.csv", _FAILURE_COLUMNS, failures)
    return (*written, folder / "failures.csv")


def study_row(record: StudyRecord) -> Row:
    """Return the row of a study; columns that do not apply are missing."""
    row: Row = {
        "name": record.name,
        "outcome": record.outcome,
        "seconds": record.seconds,
        "attempts": record.attempts,
    }
    if record.summary is None:
        return row | {"code": record.code, "message": record.message}
    return row | _summary_columns(record.summary)


def _summary_columns(summary: Summary) -> Row:
    source = summary.input
    return {
        "study": source.study,
        "series": source.series,
        "slices": source.slices,
        "spacing_x_mm": source.spacing_mm[0],
        "spacing_y_mm": source.spacing_mm[1],
        "spacing_z_mm": source.spacing_mm[2],
        "levels": " ".join(vertebra.level for vertebra in summary.vertebrae),
        "vertebra_count": len(summary.vertebrae),
        "findings": " ".join(dict.fromkeys(finding.code for finding in summary.findings)),
        "serious_findings": sum(finding.severity == "serious" for finding in summary.findings),
        "device": summary.device,
        "model": summary.model.name,
        "model_version": summary.model.version,
        "model_checksum": summary.model.checksum,
        "cspine_version": summary.cspine_version,
        "segmentation_sha256": next((each.sha256 for each in summary.outputs if each.file == _SEGMENTATION), None),
    }


def vertebra_rows(record: StudyRecord) -> list[Row]:
    """Return the rows of the vertebrae of a study; empty if it failed."""
    if record.summary is None:
        return []
    by_level: dict[str | None, list[str]] = {}
    for finding in record.summary.findings:
        by_level.setdefault(finding.level, []).append(finding.code)
    return [
        {
            "name": record.name,
            "level": v.level,
            "label": v.label,
            "segment": v.segment,
            "volume_ml": v.volume_ml,
            "mean_hu": v.mean_hu,
            "std_hu": v.std_hu,
            "centroid_left_mm": v.centroid_lps_mm[0],
            "centroid_posterior_mm": v.centroid_lps_mm[1],
            "centroid_superior_mm": v.centroid_lps_mm[2],
            "extent_right_left_mm": v.extent_mm[0],
            "extent_anterior_posterior_mm": v.extent_mm[1],
            "extent_inferior_superior_mm": v.extent_mm[2],
            "touches_edge": v.touches_edge,
            "findings": " ".join(by_level.get(v.level, [])),
        }
        for v in record.summary.vertebrae
    ]


def measurement_rows(record: StudyRecord) -> list[Row]:
    """Return the rows of the measurements of a study, one per value; empty if it failed."""
    if record.summary is None:
        return []
    return [
        {
            "name": record.name,
            "site": m.site,
            "scope": quantity(m.name).scope.value,
            "quantity": m.name,
            "value": m.value,
            "unit": m.unit,
            "uncertainty": m.uncertainty,
            "z_score": m.z_score,
            "published_low": m.published_low,
            "published_high": m.published_high,
        }
        for m in record.summary.measurements
    ]


def failures_by_code(records: Iterable[StudyRecord]) -> list[tuple[str, int, str]]:
    """Return each error code with its number of studies and its advice, most frequent first."""
    failed = [record for record in records if record.summary is None]
    advice = {record.code: record.advice for record in failed}
    counts = Counter(record.code for record in failed)
    return [(code, number, advice[code]) for code, number in sorted(counts.items(), key=lambda c: (-c[1], c[0]))]


def _text(value: object) -> str:
    if value is None:
        return ""
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def require_pyarrow() -> tuple[Any, Any]:
    """Return pyarrow and its parquet module; raise MissingExtraError if they are not installed."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError("cohorts need the extra 'cohort': pip install 'cspine[cohort]'") from error
    return pyarrow, parquet


def _write_parquet(path: Path, columns: Mapping[str, str], rows: Sequence[Row]) -> None:
    pyarrow, parquet = require_pyarrow()
    schema = pyarrow.schema([(name, pyarrow.type_for_alias(kind)) for name, kind in columns.items()])
    table = pyarrow.Table.from_pylist(list(rows), schema=schema)
    write_atomic(path, lambda partial: parquet.write_table(table, partial))
