"""`cases.csv`: what is written comes back, and rows of another version do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from cspine.study.synthesis import set_table
from cspine.study.synthesis.set_table import read_table, write_table

_ROWS = {name: {"case": name, "kernel": "sharp"} for name in ("hard_20001", "hard_20000")}


def test_rows_come_back_in_the_order_of_their_cases(tmp_path: Path) -> None:
    write_table(tmp_path / "cases.csv", _ROWS)
    rows = read_table(tmp_path / "cases.csv")
    assert list(rows) == ["hard_20000", "hard_20001"]
    assert rows["hard_20000"]["kernel"] == "sharp"


def test_rows_of_another_version_are_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_table(tmp_path / "cases.csv") == {}
    write_table(tmp_path / "cases.csv", _ROWS)
    monkeypatch.setattr(set_table, "EDITION", set_table.EDITION + 1)
    assert read_table(tmp_path / "cases.csv") == {}


def test_rows_of_articulated_necks_are_those_of_their_generator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {name: {"case": name, "set": name} for name in ("angio", "hard")}
    write_table(tmp_path / "cases.csv", rows)
    assert list(read_table(tmp_path / "cases.csv")) == ["angio", "hard"]
    monkeypatch.setattr(set_table, "NECK_EDITION", set_table.NECK_EDITION + 1)
    assert list(read_table(tmp_path / "cases.csv")) == ["hard"]
