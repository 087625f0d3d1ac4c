"""Levels that a data set names wrongly are renamed by a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cspine.core.errors import DatasetError
from cspine.core.volumes import LabelVolume
from cspine.study.datasets.corrections import corrected, read_corrections


def table(folder: Path, *rows: str) -> Path:
    path = folder / "corrections.csv"
    path.write_text("\n".join(["case,level,corrected", *rows]) + "\n")
    return path


def labels(*numbers: int) -> LabelVolume:
    return LabelVolume(np.array(numbers, dtype=np.uint8).reshape(1, 1, -1), np.eye(4))


def test_a_shift_by_one_level_applies_at_once(tmp_path: Path) -> None:
    found = read_corrections(table(tmp_path, "a,C6,C7", "a,C7,T1", " b , T13 , L1", "b,L1,", ",C1,C2"))
    assert found == {"a": {6: 7, 7: 8}, "b": {28: 20, 20: 0}}
    assert corrected(labels(0, 5, 6, 7), found["a"], "a").labels_zyx.ravel().tolist() == [0, 5, 7, 8]
    assert corrected(labels(0, 19, 28, 20), found["b"], "b").labels_zyx.ravel().tolist() == [0, 19, 20, 0]


@pytest.mark.parametrize(
    "rows",
    [("a,C9,C7",), ("a,C6,Cx",), ("a,C6,C7", "a,C6,C5"), ("a,C6,C5", "a,C7,C5"), ("a,,C7",)],
    ids=["unknown level", "unknown correction", "twice", "two become one", "no level"],
)
def test_a_table_that_contradicts_itself_is_refused(tmp_path: Path, rows: tuple[str, ...]) -> None:
    with pytest.raises(DatasetError):
        read_corrections(table(tmp_path, *rows))


def test_a_table_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("case,level\na,C1\n")
    (tmp_path / "y.csv").write_text("case,level,corrected,level\na,C1,C2,C3\n")
    for path in (tmp_path / "x.csv", tmp_path / "y.csv", tmp_path / "absent.csv"):
        with pytest.raises(DatasetError):
            read_corrections(path)


@pytest.mark.parametrize(("present", "correction"), [((5, 7), {6: 7}), ((5, 6, 7), {6: 7})], ids=["absent", "taken"])
def test_a_correction_that_does_not_fit_the_labels_is_refused(
    present: tuple[int, ...], correction: dict[int, int]
) -> None:
    with pytest.raises(DatasetError):
        corrected(labels(*present), correction, "a")
