"""What the measurements share."""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.common import alternate, publish, run, table
from cspine.io.machine import usable_cores

_HOLD = "import time; held = bytearray(b'1') * ({mib} * 2**20); {then}"


def test_figures_are_published_with_the_machine_and_its_versions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish({"seconds": 1.5}, table(("tool", "time"), [("cspine", "1.5 s")]), tmp_path / "figures.json")
    assert "| cspine | 1.5 s |" in capsys.readouterr().out
    written = json.loads((tmp_path / "figures.json").read_text())
    assert written["seconds"] == 1.5
    about = written["machine"]
    assert about["cores"] == usable_cores() and about["python"] == platform.python_version()
    assert about["versions"]["numpy"] == np.__version__


def test_the_memory_of_a_command_is_that_of_its_process_tree() -> None:
    child = _HOLD.format(mib=200, then="time.sleep(1)")
    parent = _HOLD.format(mib=300, then=f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])")
    printed, figures = run([sys.executable, "-c", f"{parent}; print('done')"])
    assert printed == "done\n"
    assert 500 / 1024 < figures["tree_gib"] < 700 / 1024
    assert figures["seconds"] > 1 and figures["processor_seconds"] > 0


def test_a_command_that_fails_ends_the_measurement_with_its_errors() -> None:
    with pytest.raises(SystemExit, match="no such study"):
        run([sys.executable, "-c", "raise SystemExit('no such study')"])


def test_tools_take_turns_and_medians_are_returned() -> None:
    turns: list[str] = []
    seconds = {"a": iter([1.0, 9.0, 2.0]), "b": iter([4.0, 4.0, 5.0])}

    def tool(name: str) -> dict[str, float]:
        turns.append(name)
        return {"seconds": next(seconds[name])}

    found = alternate({name: lambda name=name: tool(name) for name in seconds}, 3)  # type: ignore[misc]
    assert turns == ["a", "b"] * 3
    assert found == {"a": {"seconds": 2.0}, "b": {"seconds": 4.0}}
