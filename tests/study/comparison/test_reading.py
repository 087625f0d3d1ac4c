"""Folders of an evaluation are read completely, or refused with the file and the line that is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cspine.core.errors import ComparisonError
from cspine.study.comparison.reading import read_evaluation
from cspine.study.evaluation.table_columns import COMPARED_COLUMNS, FILE_COLUMNS
from tests.builders.evaluation_folders import Line, missed, write_folder
from tests.builders.raises import raises_code


def test_a_folder_is_read_as_it_was_written(tmp_path: Path) -> None:
    lines = [Line("a", "C1", 0.95, 1.25, "training", 3), missed(Line("a", "C2", subset="training", fold=3))]
    files = [["a", "", "/r/a.nii.gz", "nnunet", "/f/a.nii.gz", "verse"], ["b", "/i/b", "/r/b", "verse", "", "verse"]]
    identity = {"name": "neck", "version": "1.0.0", "checksum": "ab"}
    write_folder(tmp_path / "e", lines, "Neck", files, model=identity, errors={"c": "[CS-IN-001] no"})
    found = read_evaluation(tmp_path / "e")
    assert (found.title, found.model, found.failed, found.levels) == ("Neck", identity, ("c",), {"C1", "C2"})
    first, second = found.scores
    assert (first.case, first.level, first.subset, first.fold) == ("a", "C1", "training", 3)
    assert (first.dice, first.hd95_mm, first.assd_mm, first.volume_error_ml) == (0.95, 1.25, 0.3, 0.5)
    assert first.in_reference and first.in_found
    assert (second.dice, second.hd95_mm, second.assd_mm) == (0.0, None, None)
    assert second.in_reference and not second.in_found
    assert found.files["a"].image is None and found.files["a"].reference_scheme == "nnunet"
    assert found.files["b"].prediction is None and found.files["b"].image == Path("/i/b")
    assert found.by_case["a"]["C2"] is second


def test_nan_and_infinity_mean_not_defined(tmp_path: Path) -> None:
    row = "a,C1,,,nan,inf,,,,,,,\n"
    (tmp_path / "scores.csv").write_text(",".join(COMPARED_COLUMNS) + "\n" + row)
    (score,) = read_evaluation(tmp_path).scores
    assert score.dice is None and score.hd95_mm is None and score.reference_ml is None
    assert read_evaluation(tmp_path).title == tmp_path.name


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        ("a,C1,,,x,1,1,1,1,0,C1,yes,1", (3, "dice", "'x'")),
        ("a,C1,,,1.2,1,1,1,1,0,C1,yes,1", (3, "dice", 1.2, 1)),
        ("a,C1,,,0.9,-1,1,1,1,0,C1,yes,1", (3, "hd95_mm", -1, 0)),
        ("a,C9,,,0.9,1,1,1,1,0,C1,yes,1", (3, "'C9'")),
        ("a,C1,test,,0.9,1,1,1,1,0,C1,yes,1", (3, "'test'")),
        ("a,C1,training,x,0.9,1,1,1,1,0,C1,yes,1", (3, "'x'")),
        (",C1,,,0.9,1,1,1,1,0,C1,yes,1", (3, "case")),
        ("a,C1,,,0.9", (3, 13)),
        ("a,C1,,,0.9,1,1,1,1,0,C1,yes,1,2", (3, 13)),
        ("0,C1,,,0.9,1,1,1,1,0,C1,yes,1", ("0 C1",)),
    ],
)
def test_a_damaged_table_is_named_with_its_line(tmp_path: Path, cells: str, values: tuple[object, ...]) -> None:
    good = "0,C1,,,0.9,1,1,1,1,0,C1,yes,1\n"
    (tmp_path / "scores.csv").write_text(",".join(COMPARED_COLUMNS) + "\n" + good + cells + "\n")
    with raises_code(ComparisonError, tmp_path / "scores.csv", *values) as refused:
        read_evaluation(tmp_path)
    assert "cspine evaluate" in refused.value.advice


def test_what_is_no_evaluation_is_refused(tmp_path: Path) -> None:
    with raises_code(ComparisonError, "scores.csv", tmp_path):
        read_evaluation(tmp_path)
    (tmp_path / "scores.csv").write_text("case,level,dice,hd95_mm\na,C1,0.9,1\n")
    with raises_code(ComparisonError, tmp_path / "scores.csv", 1, "subset, fold, assd_mm"):
        read_evaluation(tmp_path)
    (tmp_path / "scores.csv").write_text(",".join(COMPARED_COLUMNS) + "\n")
    with raises_code(ComparisonError, tmp_path / "scores.csv", "case"):
        read_evaluation(tmp_path)
    (tmp_path / "scores.csv").write_text(",".join((*COMPARED_COLUMNS, COMPARED_COLUMNS[4])) + "\n")
    with raises_code(ComparisonError, tmp_path / "scores.csv", 5, len(COMPARED_COLUMNS) + 1):
        read_evaluation(tmp_path)
    (tmp_path / "scores.csv").write_bytes(b"\xff\xfe\x00")
    with raises_code(ComparisonError, tmp_path / "scores.csv", "UnicodeDecodeError"):
        read_evaluation(tmp_path)


def test_an_unfinished_or_damaged_summary_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path, [Line("a", "C1")])
    (tmp_path / "summary.json").write_text(json.dumps({"command": "cspine evaluate", "complete": False}))
    with raises_code(ComparisonError, tmp_path):
        read_evaluation(tmp_path)
    for text in ("[]", "{"):
        (tmp_path / "summary.json").write_text(text)
        with raises_code(ComparisonError, tmp_path / "summary.json"):
            read_evaluation(tmp_path)


def test_files_are_read_by_case_and_may_be_absent(tmp_path: Path) -> None:
    write_folder(tmp_path, [Line("a", "C1")], files=[["a", "", "r", "verse", "f", "verse"]] * 2)
    with raises_code(ComparisonError, tmp_path / "files.csv", "a"):
        read_evaluation(tmp_path)
    (tmp_path / "files.csv").write_text(",".join(FILE_COLUMNS[:3]) + "\n")
    with raises_code(ComparisonError, tmp_path / "files.csv", "reference_scheme, prediction, prediction_scheme"):
        read_evaluation(tmp_path)
    (tmp_path / "files.csv").unlink()
    assert read_evaluation(tmp_path).files == {}
