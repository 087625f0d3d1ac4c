"""Cores, instruction sets, memory and GPUs, as the control group leaves them to a process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cspine.core.errors import InferenceError
from cspine.doctor.check import GIB, Diagnosis, fail, looked_at, ok, warn
from cspine.io.machine import Memory, memory, usable_cores

if TYPE_CHECKING:
    import torch

#: What a run on 300 x 512 x 512 voxels takes, measured; and what even a small neck needs.
_WANTED_BYTES, _LEAST_BYTES = 2 * GIB, GIB
#: Flags of /proc/cpuinfo that change the speed of the network, and what people call them.
_FLAGS = {"avx2": "AVX2", "avx512f": "AVX512", "avx512_bf16": "AVX512-BF16", "amx_bf16": "AMX"}


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> Diagnosis:
    """Return cores and instruction sets.

    Parameters
    ----------
    cpuinfo : Path
        The kernel's file about processors.
    """
    cores = usable_cores()
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ok("processor", f"{cores} usable cores; instruction sets are not known here")
    flags = next((set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), set())
    found = [name for flag, name in _FLAGS.items() if flag in flags]
    text = f"{cores} usable cores, {', '.join(found) or 'no vector instructions that count'}"
    if "AVX2" not in found:
        return warn("processor", text, "The network runs, slowly: PyTorch is made for processors with AVX2.")
    if {"AVX512-BF16", "AMX"} & set(found):
        text += "; --precision bfloat16 is faster here"
    return ok("processor", text)


def main_memory(found: Memory | None = None) -> Diagnosis:
    """Return main memory against what a run takes.

    Parameters
    ----------
    found : Memory, optional
        This machine's where it is left out.
    """
    has = memory() if found is None else found
    limit = "no limit of the control group" if has.limit is None else f"limited to {has.limit / GIB:.1f} GiB"
    text = f"{has.available / GIB:.1f} GiB available of {has.total / GIB:.1f} GiB, {limit}"
    if not has.total:
        return ok("memory", "not known here")
    if has.available < _LEAST_BYTES:
        return fail("memory", text, "A run needs 1 GiB for a small neck and 2 GiB for a large one: free or add memory.")
    if has.available < _WANTED_BYTES:
        return warn("memory", text, "A run on 300 x 512 x 512 voxels takes 1.6 GiB: large series may fail.")
    return ok("memory", f"{text}; a large series takes 1.6 GiB")


def devices() -> list[Diagnosis]:
    """Return whether the CPU and every CUDA device compute: a convolution on each."""
    return [looked_at("cpu", _cpu, "Reinstall torch for this processor."), *_gpus()]


def _cpu() -> Diagnosis:
    import torch

    _convolve(torch.device("cpu"))
    return ok("cpu", f"computes; torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}")


def _gpus() -> list[Diagnosis]:
    try:
        import torch
    except Exception:  # said by the line about the CPU
        return []
    if not torch.cuda.is_available():
        build = f"torch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "torch is built for CPUs"
        return [ok("cuda", f"no device; {build}; runs take the CPU")]
    advice = "Compare the driver with the CUDA version of torch; --device cpu works without."
    return [
        looked_at(f"cuda:{number}", lambda n=number: _gpu(n), advice)  # type: ignore[misc]
        for number in range(torch.cuda.device_count())
    ]


def _gpu(number: int) -> Diagnosis:
    import torch

    device = torch.device("cuda", number)
    _convolve(device)
    free, total = torch.cuda.mem_get_info(device)
    text = f"{torch.cuda.get_device_name(device)} computes, {free / GIB:.1f} of {total / GIB:.1f} GiB free"
    return ok(f"cuda:{number}", text)


def _convolve(device: torch.device) -> None:
    """Convolve ones with ones, and compare with the number that must come out."""
    import torch

    ones = torch.ones(1, 1, 5, 5, 5).to(device)
    result = torch.nn.functional.conv3d(ones, torch.ones(1, 1, 3, 3, 3).to(device)).cpu()
    if not torch.equal(result, torch.full((1, 1, 3, 3, 3), 27.0)):
        raise InferenceError(f"{device}: a convolution gives wrong numbers")
