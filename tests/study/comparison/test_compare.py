"""Comparisons end to end: the same folders give the same bytes, and a folder with other files is not changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cspine.core.errors import ComparisonError, UsageError
from cspine.study.comparison.compare import Task, compare, output_folder, write
from tests.builders.comparisons import FEW
from tests.builders.evaluation_folders import Scores, write_images
from tests.builders.raises import raises_code

SMALL = {"internal": 4, "external": 4}


def folders(root: Path) -> tuple[Path, Path]:
    levels = ("C1", "C2")
    return tuple(  # type: ignore[return-value]
        Scores(SMALL, levels, seed=i).write(root / f"m{i}") for i in (1, 2)
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_two_runs_give_the_same_bytes(tmp_path: Path) -> None:
    task = Task(folders(tmp_path), FEW, worst=1, with_paper=True, single=("external-000",))
    files = write_images(tmp_path / "files", ["external-000"], "m")
    for folder in task.folders:
        lines = (folder / "files.csv").read_text() + ",".join(files[0]) + "\n"
        (folder / "files.csv").write_text(lines)
    for name in ("a", "b", "b"):  # the second run into its own folder renews it
        out = output_folder(tmp_path / name)
        out.check(task.folders)
        write(compare(task), task.worst, out)
        (tmp_path / name / "plots" / "old.png").write_bytes(b"")
    for name in ("a", "b"):
        (tmp_path / name / "plots" / "old.png").unlink()
    first, second = contents(tmp_path / "a"), contents(tmp_path / "b")
    assert first == second and "plots/worst-1.png" in first and "report.html" in first
    summary = json.loads(first["summary.json"], parse_constant=lambda word: pytest.fail(word))
    assert summary["command"] == "cspine compare" and summary["complete"] is True
    assert summary["common_cases"] == SMALL and len(summary["verdicts"]) == 2 * 2 * 3
    assert (
        summary["worst_cases"]
        and summary["conclusion"]
        and summary["settings"]["margins"] == {"dice": 0.02, "hd95_mm": 0.5}
    )


def test_the_reference_may_be_any_of_the_folders(tmp_path: Path) -> None:
    first, second = folders(tmp_path)
    reversed_order = compare(Task((first, second), FEW, reference=second))
    assert reversed_order.titles == ("m2", "m1")
    straight = compare(Task((first, second), FEW))
    one = straight.comparison("m2", "external", "C1", "dice").result.difference or 0.0
    assert reversed_order.comparison("m1", "external", "C1", "dice").result.difference == pytest.approx(-one)
    with raises_code(UsageError, "--reference", tmp_path):
        compare(Task((first, second), FEW, reference=tmp_path))
    with raises_code(UsageError, first):
        compare(Task((first, tmp_path / "m1" / ".." / "m1"), FEW))


def test_a_single_case_that_no_model_has_is_refused(tmp_path: Path) -> None:
    with raises_code(ComparisonError, "--single", "x"):
        compare(Task(folders(tmp_path), FEW, single=("x",)))


def test_an_evaluation_is_not_overwritten(tmp_path: Path) -> None:
    first, second = folders(tmp_path)
    with raises_code(UsageError, "--out"):
        output_folder(first).check((first, second))
    with raises_code(UsageError, "--out", "summary.json", "cspine compare"):
        output_folder(first).check((second,))
    (tmp_path / "plots").mkdir()
    with raises_code(UsageError, "--out", "plots"):
        output_folder(tmp_path).check((first, second))
