"""The cores, the memory and the home folder available to this process, within the limits of its control groups."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path("/")
# Version 1 of control groups states "no limit" as a number near 2**63.
_UNLIMITED = 2**60


@dataclass(frozen=True)
class Memory:
    """Main memory, in bytes.

    Parameters
    ----------
    total : int
        Memory of the machine.
    available : int
        Memory that a new process can use, within the limit of the control group.
    limit : int or None
        Limit of the control group; None if there is none.
    """

    total: int
    available: int
    limit: int | None


def usable_cores(root: Path = _ROOT) -> int:
    """Return the number of cores that this process may use, by its affinity and the quota of its control groups.

    Parameters
    ----------
    root : Path
        Root of the file system.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [quota for group in _groups("cpu", root) if (quota := _quota(group)) is not None]
    return max(1, min([affinity, *(math.ceil(quota) for quota in quotas)]))


def memory(root: Path = _ROOT) -> Memory:
    """Return the memory of the machine and of the control group.

    Parameters
    ----------
    root : Path
        Root of the file system; without ``proc/meminfo`` (no Linux) every number is 0.
    """
    lines = (line.split() for line in _text(root / "proc" / "meminfo").splitlines())
    known = {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if len(words) > 1 and words[1].isdigit()}
    available = known.get("MemAvailable", 0)
    limits = []
    for group in _groups("memory", root):
        limit = _first_number(group, "memory.max", "memory.limit_in_bytes")
        if limit is None or limit >= _UNLIMITED:
            continue
        limits.append(limit)
        used = _first_number(group, "memory.current", "memory.usage_in_bytes") or 0
        available = min(available, max(0, limit - used + _file_cache(group)))
    return Memory(known.get("MemTotal", 0), available, min(limits, default=None))


def home_folder() -> Path:
    """Return the user's home folder, or the root of the file system if the user has none, as in a container."""
    try:
        return Path.home()
    except RuntimeError:
        return Path(os.sep)


def _groups(controller: str, root: Path) -> Iterator[Path]:
    """Yield the folders of the process's control group and of those around it, in both versions.

    In a container the group that /proc names is often the root of what is mounted.
    """
    mounted = root / "sys" / "fs" / "cgroup"
    for line in _text(root / "proc" / "self" / "cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, name = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        top = mounted / controller if controllers else mounted
        group = top / name.lstrip("/")
        yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(top) and folder.is_dir())


def _quota(group: Path) -> float | None:
    words = _text(group / "cpu.max").split()
    if len(words) == 2 and words[0].isdigit():
        return int(words[0]) / int(words[1])
    quota, period = (_first_number(group, name) for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us"))
    return quota / period if quota and period else None


def _file_cache(group: Path) -> int:
    """Return the bytes of cached files that the kernel drops when memory is needed."""
    for line in _text(group / "memory.stat").splitlines():
        name, _, value = line.partition(" ")
        if name in ("inactive_file", "total_inactive_file") and value.isdigit():
            return int(value)
    return 0


def _first_number(group: Path, *names: str) -> int | None:
    for name in names:
        text = _text(group / name).strip()
        if text.isdigit():
            return int(text)
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
