from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from cspine.core.volumes import CtVolume
from cspine.inference.predict import segment
from cspine.inference.settings import InferenceSettings, Precision
from cspine.models.package import ModelPackage, load_package
from tests.builders.nnunet_results import TinyModel
from tests.builders.small_neck import MODELS, small_neck
from tests.builders.stock_nnunet import lively_volume

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


def dice(one: np.ndarray, other: np.ndarray, label: int) -> float:
    a, b = one == label, other == label
    return 2 * float((a & b).sum()) / max(1, int(a.sum() + b.sum()))


def run_both(volume: CtVolume, package: ModelPackage, precision: Precision, capsys) -> float:
    """Smallest Dice of a label between CPU and CUDA; time and memory are printed."""
    expected = segment(volume, package, InferenceSettings("cpu")).labels.labels_zyx
    settings = InferenceSettings("cuda", precision=precision)
    segment(volume, package, settings)
    torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    result = segment(volume, package, settings)
    seconds = time.perf_counter() - began
    memory = torch.cuda.max_memory_allocated() / 2**20
    worst = min(dice(result.labels.labels_zyx, expected, label) for label in np.unique(expected)[1:])
    with capsys.disabled():
        where = f"{result.record['device']}, {result.record['precision']}"
        print(f"\n{where}: {seconds:.2f} s, {memory:.0f} MiB, Dice {worst:.5f}")  # noqa: T201
    return worst


# A network of random weights is unsure nearly everywhere: half precision moves its borders more than a trained one's.
@pytest.mark.parametrize(("precision", "minimum"), [("float32", 0.999), ("auto", 0.97)])
def test_cuda_and_cpu_give_the_same_labels(tmp_path, capsys, precision, minimum):
    package = TinyModel(patch=(32, 48, 48)).package(tmp_path / "tiny")
    volume = lively_volume((60, 160, 160), (2.0, 1.0, 1.0))
    assert run_both(volume, package, precision, capsys) >= minimum


@pytest.mark.parametrize("precision", ["float32", "auto"])
def test_cuda_and_cpu_agree_on_the_shipped_model(capsys, precision):
    package = load_package(MODELS / "cervical-demo")
    assert run_both(small_neck()[0], package, precision, capsys) >= 0.999
