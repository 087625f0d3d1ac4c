"""`cspine.study.summarize`: the counts of a dataset, its tables and its picture sheet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import cspine
from cspine.core.errors import DatasetError, UsageError
from tests.builders.tiny_dataset import tiny_dataset


def test_a_dataset_is_counted_and_some_cases_are_shown(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "Dataset501_Tiny")
    told: list[tuple[int, int]] = []
    found = cspine.study.summarize(str(dataset.root), pictures=2, progress=lambda *step: told.append(step))
    out = dataset.root / "summary"
    assert found.name == "Dataset501_Tiny" and list(found.rows) == dataset.rows()
    assert (found.content["cases"], found.content["patients"], found.content["doubtful"]) == (6, 6, 0)
    assert found.content["subsets"] == {"training": 4, "internal": 1, "external": 1}
    assert [path.name for path in found.files] == ["sheet.png", "levels.csv", "demographics.md", "summary.json"]
    assert all(path.parent == out and path.is_file() for path in found.files)
    assert told == [(1, 2), (2, 2)]
    written = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert written["complete"] is True and found.content.items() <= written.items()


def test_another_folder_and_no_pictures(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "Dataset501_Tiny", folds=0)
    found = cspine.study.summarize(dataset.root, tmp_path / "out", pictures=0)
    assert [path.name for path in found.files] == ["levels.csv", "demographics.md", "summary.json"]
    assert found.content["subsets"] == {"unused": 6} and found.content["split"] is None
    assert not (dataset.root / "summary").exists()


def test_what_is_no_dataset_or_has_files_of_somebody_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError):
        cspine.study.summarize(tmp_path)
    dataset = tiny_dataset(tmp_path / "Dataset501_Tiny", 1, 0, 0, 0)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "levels.csv").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError):
        cspine.study.summarize(dataset.root, tmp_path / "out")
    assert (tmp_path / "out" / "levels.csv").read_text(encoding="utf-8") == "mine"
