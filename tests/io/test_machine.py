"""Cores and memory, as control groups of both versions limit them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cspine.io import machine
from cspine.io.machine import Memory, home_folder, memory, usable_cores

_GIB = 2**30
_MEMINFO = f"MemTotal: {16 * 2**20} kB\nMemFree: 1 kB\nMemAvailable: {8 * 2**20} kB\n"


def root_with(folder: Path, group: str, files: dict[str, str]) -> Path:
    """A root of a file system with the kernel's files."""
    (folder / "proc" / "self").mkdir(parents=True)
    (folder / "proc" / "meminfo").write_text(_MEMINFO)
    (folder / "proc" / "self" / "cgroup").write_text(group)
    for name, text in files.items():
        path = folder / "sys" / "fs" / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture(autouse=True)
def _many_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: set(range(16)))


def test_without_limits_all_of_the_machine_counts(tmp_path: Path) -> None:
    root = root_with(tmp_path, "0::/\n", {"cpu.max": "max 100000\n", "memory.max": "max\n"})
    assert usable_cores(root) == 16
    assert memory(root) == Memory(16 * _GIB, 8 * _GIB, None)


def test_version_2_limits_count_those_of_outer_groups_too(tmp_path: Path) -> None:
    files = {
        "pod/cpu.max": "250000 100000\n",
        "pod/memory.max": f"{4 * _GIB}\n",
        "pod/memory.current": f"{3 * _GIB}\n",
        "pod/memory.stat": f"anon 5\ninactive_file {_GIB}\n",
        "pod/box/cpu.max": "max 100000\n",
        "pod/box/memory.max": "max\n",
    }
    root = root_with(tmp_path, "0::/pod/box\n", files)
    assert usable_cores(root) == 3
    assert memory(root) == Memory(16 * _GIB, 2 * _GIB, 4 * _GIB)


def test_version_1_limits_count_where_the_group_is_the_root_of_what_is_mounted(tmp_path: Path) -> None:
    files = {
        "cpu,cpuacct/.keep": "",
        "cpu/cpu.cfs_quota_us": "150000\n",
        "cpu/cpu.cfs_period_us": "100000\n",
        "memory/memory.limit_in_bytes": f"{2 * _GIB}\n",
        "memory/memory.usage_in_bytes": f"{_GIB}\n",
    }
    root = root_with(tmp_path, "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n", files)
    assert usable_cores(root) == 2
    assert memory(root) == Memory(16 * _GIB, _GIB, 2 * _GIB)


def test_version_1_says_no_limit_with_a_large_number(tmp_path: Path) -> None:
    root = root_with(tmp_path, "4:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712\n"})
    assert memory(root).limit is None


def test_a_system_without_the_files_has_no_numbers(tmp_path: Path) -> None:
    assert memory(tmp_path) == Memory(0, 0, None)
    assert usable_cores(tmp_path) == 16


def test_a_user_without_a_home_has_the_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home_folder() == tmp_path

    def fail() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(machine.Path, "home", fail)
    assert home_folder() == Path("/")
