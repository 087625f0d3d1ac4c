"""Processor, memory and devices."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cspine.doctor import hardware
from cspine.doctor.diagnostic import GIB, Status
from cspine.doctor.hardware import devices, main_memory, processor
from cspine.io.machine import Memory


@pytest.mark.parametrize(("available", "status"), [(0.5, Status.FAIL), (1.5, Status.WARN), (3, Status.OK)])
def test_memory_is_compared_with_what_a_run_needs(available: float, status: Status) -> None:
    line = main_memory(Memory(16 * GIB, int(available * GIB), 4 * GIB))
    assert line.status is status
    assert "limited to 4.0 GiB" in line.text and "of 16.0 GiB" in line.text
    assert bool(line.advice) is (status is not Status.OK)


def test_unknown_memory_is_no_failure() -> None:
    assert main_memory(Memory(0, 0, None)).status is Status.OK


def test_instruction_sets_are_named(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("model name: x\nflags\t\t: fpu avx2 avx512f avx512_bf16 amx_bf16\n")
    line = processor(cpuinfo)
    assert line.status is Status.OK
    assert "AVX2, AVX512, AVX512-BF16, AMX; --precision bfloat16" in line.text
    cpuinfo.write_text("flags: fpu sse2\n")
    assert processor(cpuinfo).status is Status.WARN
    assert "unknown" in processor(tmp_path / "absent").text


def test_the_cpu_computes_and_a_machine_without_a_gpu_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert [(line.name, line.status) for line in devices()] == [("cpu", Status.OK), ("cuda", Status.OK)]


def test_a_gpu_that_cannot_compute_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)

    def convolve(device: torch.device) -> None:
        if device.type == "cuda" and device.index == 1:
            raise RuntimeError("CUDA error: no kernel image is available")

    monkeypatch.setattr(hardware, "_convolve", convolve)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (3 * GIB, 4 * GIB))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "A card")
    lines = {line.name: line for line in devices()}
    assert all(value in lines["cuda:0"].text for value in ("A card", "3.0", "4.0"))
    assert lines["cuda:1"].status is Status.FAIL and "no kernel image" in lines["cuda:1"].text


def test_a_convolution_that_gives_wrong_numbers_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.nn.functional, "conv3d", lambda *_: torch.zeros(1, 1, 3, 3, 3))
    assert devices()[0].status is Status.FAIL
