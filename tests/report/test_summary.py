import hashlib
import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from cspine.core.errors import OutputError
from cspine.core.findings import TRUNCATED
from cspine.measurements.confidence import Confidence
from cspine.measurements.vertebra import measure_vertebrae
from cspine.report.summary import (
    SCHEMA_VERSION,
    InputSummary,
    SeriesSummary,
    Summary,
    finding_summaries,
    model_summary,
    output_summary,
    vertebra_summaries,
    write_summary,
)
from tests.builders.spine_phantom import MODEL, volumes

DECISION = SeriesSummary(series="0123456789ab", chosen=True, modality="CT", instances=90, reasons=["thinnest"])


def a_summary(folder: Path) -> Summary:
    (folder / "dicom").mkdir(parents=True)
    (folder / "dicom" / "seg.dcm").write_bytes(b"DICM")
    return Summary(
        cspine_version="0.1.0",
        clock="2024-01-01T00:00:00+00:00",
        input=InputSummary(
            study="ba9876543210", series=DECISION.series, decisions=[DECISION], slices=90, spacing_mm=(1.0, 1.0, 3.0)
        ),
        model=model_summary(MODEL),
        settings={"folds": "all"},
        device="cpu",
        vertebrae=vertebra_summaries(measure_vertebrae(*volumes()), [(1, "C1"), (2, "C2")]),
        findings=finding_summaries([TRUNCATED.about("T1 is cut.", "T1")]),
        warnings=[],
        outputs=[output_summary(folder / "dicom" / "seg.dcm", folder, "SEG BINARY", "2.25.1")],
        timings_s={"infer": 12.5},
        versions={"python": "3.11.7"},
    )


def test_a_summary_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    summary = a_summary(tmp_path / "out")
    write_summary(summary, tmp_path / "report" / "summary.json")
    text = (tmp_path / "report" / "summary.json").read_text()
    assert Summary.model_validate_json(text) == summary
    assert [p.name for p in (tmp_path / "report").iterdir()] == ["summary.json"]
    assert json.loads(text)["schema_version"] == SCHEMA_VERSION


def test_vertebrae_carry_their_segment_numbers(tmp_path: Path) -> None:
    rows = a_summary(tmp_path / "out").vertebrae
    assert [(row.level, row.segment) for row in rows[:3]] == [("C1", 1), ("C2", 2), ("C3", None)]
    assert rows[0].mean_hu == 400.0


def test_outputs_carry_their_checksum(tmp_path: Path) -> None:
    (row,) = a_summary(tmp_path / "out").outputs
    assert (row.file, row.sha256, row.bytes) == ("dicom/seg.dcm", hashlib.sha256(b"DICM").hexdigest(), 4)


def test_a_uid_that_is_not_hashed_is_refused() -> None:
    with pytest.raises(ValidationError):
        SeriesSummary(series="1.2.840.113619.2", chosen=False, modality="CT", instances=1, reasons=[])


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        write_summary(a_summary(tmp_path / "out"), tmp_path / "file" / "summary.json")


def test_vertebrae_carry_the_confidence_in_them_if_it_is_known() -> None:
    rows = vertebra_summaries(measure_vertebrae(*volumes()), confidence={"C2": Confidence(0.9, 0.8)})
    known = {row.level: (row.level_probability, row.expected_dice) for row in rows}
    assert (known["C1"], known["C2"]) == ((None, None), (0.9, 0.8))
