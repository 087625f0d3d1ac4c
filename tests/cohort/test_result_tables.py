"""The tables of a cohort."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest
from pyarrow import parquet

from cspine.cohort.folder import StudyRecord
from cspine.cohort.result_tables import (
    STUDY_COLUMNS,
    failures_by_code,
    write_tables,
)
from cspine.core.errors import MissingExtraError, hashed
from cspine.report.summary import MeasurementSummary, Summary
from tests.builders.cohorts import failed_record
from tests.builders.raises import raises_code


@pytest.fixture
def records(single: tuple[Path, Summary]) -> list[StudyRecord]:
    return [
        StudyRecord(name="a", key="k", attempts=1, seconds=2.5, summary=single[1]),
        failed_record("b"),
        failed_record("c", code="CS-PIX-001"),
        failed_record("d"),
    ]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_study_has_a_row_with_what_its_summary_says(
    records: list[StudyRecord], single: tuple[Path, Summary], tmp_path: Path
) -> None:
    write_tables(records, tmp_path)
    table, summary = rows(tmp_path / "results.csv"), single[1]
    assert " ".join(table[0]) == (
        "name outcome code message study series slices spacing_x_mm spacing_y_mm spacing_z_mm levels vertebra_count "
        "findings serious_findings seconds attempts device model model_version model_checksum cspine_version "
        "segmentation_sha256"
    )
    assert [row["outcome"] for row in table] == ["ok", "failed", "failed", "failed"]
    first = table[0]
    assert (first["study"], first["series"]) == (summary.input.study, summary.input.series)
    assert (first["levels"], first["vertebra_count"], first["slices"]) == ("C2", "1", "64")
    assert (first["spacing_x_mm"], first["seconds"], first["device"]) == ("2.0", "2.5", "cpu")
    assert first["segmentation_sha256"] == summary.outputs[0].sha256
    assert first["findings"].split() == list(dict.fromkeys(finding.code for finding in summary.findings))
    assert (table[1]["code"], table[1]["message"], table[1]["levels"]) == ("CS-GEO-002", "a slice is missing", "")


def test_without_a_segmentation_no_checksum_of_another_object_is_stated(
    records: list[StudyRecord], single: tuple[Path, Summary], tmp_path: Path
) -> None:
    outputs = [output for output in single[1].outputs if output.file != "dicom/segmentation.dcm"]
    assert any(output.sop_instance_uid for output in outputs)
    summary = single[1].model_copy(update={"outputs": outputs})
    write_tables([records[0].model_copy(update={"summary": summary})], tmp_path)
    assert rows(tmp_path / "results.csv")[0]["segmentation_sha256"] == ""


def test_a_vertebra_has_a_row(records: list[StudyRecord], single: tuple[Path, Summary], tmp_path: Path) -> None:
    write_tables(records, tmp_path)
    table, vertebra = rows(tmp_path / "vertebrae.csv"), single[1].vertebrae[0]
    assert " ".join(table[0]) == (
        "name level label segment volume_ml mean_hu std_hu centroid_left_mm centroid_posterior_mm centroid_superior_mm "
        "extent_right_left_mm extent_anterior_posterior_mm extent_inferior_superior_mm touches_edge findings"
    )
    assert [(row["name"], row["level"]) for row in table] == [("a", "C2")]
    assert float(table[0]["volume_ml"]) == vertebra.volume_ml
    assert float(table[0]["centroid_superior_mm"]) == vertebra.centroid_lps_mm[2]
    assert table[0]["touches_edge"] == "no"


def test_a_value_has_a_row_with_its_unit_and_uncertainty(
    records: list[StudyRecord], single: tuple[Path, Summary], tmp_path: Path
) -> None:
    depth = {"name": "body_depth_mm", "value": 15.2, "unit": "mm", "published_low": 13.0, "published_high": 19.0}
    measured = [
        MeasurementSummary(site="C5", uncertainty=0.3, z_score=-0.5, **depth),
        MeasurementSummary(site="C5/C6", name="angle_deg", value=4.0, unit="deg", uncertainty=None),
    ]
    summary = single[1].model_copy(update={"measurements": measured})
    write_tables([records[0].model_copy(update={"summary": summary}), *records[1:]], tmp_path)
    table = rows(tmp_path / "measurements.csv")
    assert " ".join(table[0]) == (
        "name site scope quantity value unit uncertainty z_score published_low published_high"
    )
    assert [(row["name"], row["site"], row["scope"], row["quantity"], row["value"], row["unit"]) for row in table] == [
        ("a", "C5", "vertebra", "body_depth_mm", "15.2", "mm"),
        ("a", "C5/C6", "neighbours", "angle_deg", "4.0", "deg"),
    ]
    assert [row["uncertainty"] for row in table] == ["0.3", ""]
    assert (table[0]["z_score"], table[0]["published_low"], table[0]["published_high"]) == ("-0.5", "13.0", "19.0")
    assert parquet.read_table(tmp_path / "measurements.parquet").to_pylist()[1]["uncertainty"] is None


def test_parquet_says_the_same_with_types(records: list[StudyRecord], tmp_path: Path) -> None:
    write_tables(records, tmp_path)
    table = parquet.read_table(tmp_path / "results.parquet")
    assert {name: str(table.schema.field(name).type) for name in table.column_names} == {
        name: {"float64": "double"}.get(kind, kind) for name, kind in STUDY_COLUMNS.items()
    }
    first = table.to_pylist()
    assert first[0]["slices"] == 64 and first[1]["slices"] is None
    assert parquet.read_table(tmp_path / "vertebrae.parquet").to_pylist()[0]["touches_edge"] is False


def test_failures_have_a_table_and_a_count_by_code(records: list[StudyRecord], tmp_path: Path) -> None:
    write_tables(records, tmp_path)
    assert [(row["name"], row["code"], row["advice"]) for row in rows(tmp_path / "failures.csv")] == [
        ("b", "CS-GEO-002", "Do."),
        ("c", "CS-PIX-001", "Do."),
        ("d", "CS-GEO-002", "Do."),
    ]
    assert failures_by_code(records) == [("CS-GEO-002", 2, "Do."), ("CS-PIX-001", 1, "Do.")]


def test_the_same_records_give_the_same_bytes_and_name_no_patient(records: list[StudyRecord], tmp_path: Path) -> None:
    first, again = write_tables(records, tmp_path / "1"), write_tables(records, tmp_path / "2")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
    text = b"".join(path.read_bytes() for path in first)
    assert b"SECRET" not in text and b"PRIVATE" not in text
    assert hashed("a").encode() not in text  # the user's own names stand in the tables


def test_no_study_gives_tables_without_rows(tmp_path: Path) -> None:
    write_tables([], tmp_path)
    assert rows(tmp_path / "results.csv") == []
    assert parquet.read_table(tmp_path / "results.parquet").num_rows == 0


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with raises_code(MissingExtraError, "cspine[cohort]"):
        write_tables([], tmp_path)
