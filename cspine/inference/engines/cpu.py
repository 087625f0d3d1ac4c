"""What the CPU can do that decides about a precision."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Return the instruction sets of the CPU as Linux names them; none on another system."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), ()))


def has_amx(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Return whether the CPU multiplies matrices in bfloat16 by AMX: without it, bfloat16 is slower than float32."""
    return {"amx_bf16", "amx_tile"} <= cpu_flags(cpuinfo)
