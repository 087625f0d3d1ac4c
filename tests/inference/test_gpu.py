from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from cspine.inference.predict import segment
from cspine.inference.settings import InferenceSettings
from tests.builders.nnunet_results import TinyModel
from tests.builders.stock_nnunet import lively_volume

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


def dice(one: np.ndarray, other: np.ndarray, label: int) -> float:
    a, b = one == label, other == label
    return 2 * float((a & b).sum()) / max(1, int(a.sum() + b.sum()))


# Single precision must agree to rounding; nnU-Net's half precision may move the border of a network that is unsure.
@pytest.mark.parametrize("precision", ["float32", "auto"])
def test_cuda_and_cpu_give_the_same_labels(tmp_path, capsys, precision):
    model = replace(TinyModel(), patch=(32, 48, 48))
    package = model.package(tmp_path / "tiny")
    volume = lively_volume((60, 160, 160), (2.0, 1.0, 1.0))
    expected = segment(volume, package, InferenceSettings("cpu")).labels.labels_zyx
    segment(volume, package, InferenceSettings("cuda", precision=precision))
    torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    result = segment(volume, package, InferenceSettings("cuda", precision=precision))
    seconds = time.perf_counter() - began
    memory = torch.cuda.max_memory_allocated() / 2**20
    agreement = [dice(result.labels.labels_zyx, expected, label) for label in (1, 2)]
    with capsys.disabled():
        print(f"\n{result.record['device']}, {result.record['precision']}: {seconds:.2f} s, {memory:.0f} MiB, "  # noqa: T201
              f"Dice {min(agreement):.5f}")  # fmt: skip
    assert min(agreement) >= 0.999
