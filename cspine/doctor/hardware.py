"""Cores, instruction sets, memory and GPUs that are available to a process within its control group."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cspine.core.errors import InferenceError
from cspine.doctor.diagnostic import GIB, Diagnostic, fail, ok, run_check, warn
from cspine.io.machine import Memory, memory, usable_cores

if TYPE_CHECKING:
    import torch

#: Memory for a large series, with a reserve (its sizes are in docs/guide/deployment.md), and for a small one.
_RECOMMENDED_BYTES, _MIN_BYTES = 2 * GIB, GIB
#: Flags of /proc/cpuinfo that affect the speed of the network, and their common names.
_FLAGS = {"avx2": "AVX2", "avx512f": "AVX512", "avx512_bf16": "AVX512-BF16", "amx_bf16": "AMX"}


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> Diagnostic:
    """Check the number of cores and the instruction sets.

    Parameters
    ----------
    cpuinfo : Path
        Processor information of the kernel.
    """
    cores = usable_cores()
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ok("processor", f"{cores} usable cores; instruction sets unknown")
    flags = next((set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), set())
    found = [name for flag, name in _FLAGS.items() if flag in flags]
    text = f"{cores} usable cores, {', '.join(found) or 'no AVX2'}"
    if "AVX2" not in found:
        return warn("processor", text, "Runs will be slow: PyTorch needs AVX2 for speed.")
    if "AMX" in found:
        text += "; --precision bfloat16 is faster, where a model is qualified for it"
    return ok("processor", text)


def main_memory(found: Memory | None = None) -> Diagnostic:
    """Compare the available memory with that of a run.

    Parameters
    ----------
    found : Memory, optional
        Memory; that of this machine if omitted.
    """
    has = memory() if found is None else found
    limit = "no limit of the control group" if has.limit is None else f"limited to {has.limit / GIB:.1f} GiB"
    text = f"{has.available / GIB:.1f} GiB available of {has.total / GIB:.1f} GiB, {limit}"
    if not has.total:
        return ok("memory", "unknown")
    if has.available < _MIN_BYTES:
        return fail(
            "memory", text, "A run needs 1 GiB for a small series and 2 GiB for a large one: free or add memory."
        )
    if has.available < _RECOMMENDED_BYTES:
        return warn("memory", text, "A run on 600 x 512 x 512 voxels needs 1.6 GiB: large series may fail.")
    return ok("memory", f"{text}; 600 x 512 x 512 voxels need 1.6 GiB")


def devices() -> list[Diagnostic]:
    """Check that the CPU and every CUDA device can compute a convolution."""
    return [run_check("cpu", _cpu, "Reinstall torch for this processor."), *_gpus()]


def _cpu() -> Diagnostic:
    import torch

    _convolve(torch.device("cpu"))
    return ok("cpu", f"works; torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}")


def _gpus() -> list[Diagnostic]:
    try:
        import torch
    except Exception:  # reported by the diagnostic of the CPU
        return []
    if not torch.cuda.is_available():
        build = f"torch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "torch is built for CPUs"
        return [ok("cuda", f"no device; {build}; runs use the CPU")]
    advice = "Check that the driver supports the CUDA version of torch, or use --device cpu."
    return [
        run_check(f"cuda:{number}", lambda n=number: _gpu(n), advice)  # type: ignore[misc]
        for number in range(torch.cuda.device_count())
    ]


def _gpu(number: int) -> Diagnostic:
    import torch

    device = torch.device("cuda", number)
    _convolve(device)
    free, total = torch.cuda.mem_get_info(device)
    text = f"{torch.cuda.get_device_name(device)} works, {free / GIB:.1f} of {total / GIB:.1f} GiB free"
    return ok(f"cuda:{number}", text)


def _convolve(device: torch.device) -> None:
    """Convolve ones with ones, and compare with the expected result."""
    import torch

    ones = torch.ones(1, 1, 5, 5, 5).to(device)
    result = torch.nn.functional.conv3d(ones, torch.ones(1, 1, 3, 3, 3).to(device)).cpu()
    if not torch.equal(result, torch.full((1, 1, 3, 3, 3), 27.0)):
        raise InferenceError(f"{device}: a convolution returned wrong values")
