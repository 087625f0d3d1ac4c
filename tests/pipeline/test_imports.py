"""A run loads what it uses, when it uses it: what is loaded before the first slice is what a user waits for."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np

from tests.builders.nnunet_results import TinyModel
from tests.builders.stock_nnunet import lively_volume

HEAVY = (
    "torch", "nnunetv2", "dynamic_network_architectures", "monai", "openvino", "highdicom", "matplotlib", "scipy",
    "skimage", "SimpleITK", "nibabel", "pandas", "cc3d", "ray",
)  # fmt: skip


def loaded_by(program: str) -> list[str]:
    """Return which of `HEAVY` a program loads in a process of its own."""
    report = f"\nimport json, sys; print(json.dumps([name for name in {HEAVY} if name in sys.modules]))"
    result = subprocess.run([sys.executable, "-c", program + report], capture_output=True, text=True, check=True)
    return json.loads(result.stdout.splitlines()[-1])


def test_nothing_heavy_is_loaded_before_the_first_slice():
    modules = ("cli.main", "cli.run", "pipeline.study", "dicom.archive", "io.output", "models.package")
    assert loaded_by("\n".join(f"import cspine.{module}" for module in modules)) == []


def test_a_run_on_a_cpu_loads_neither_torch_nor_nnunet(tmp_path):
    package, volume = TinyModel().package(tmp_path / "tiny"), lively_volume((20, 40, 36))
    np.save(tmp_path / "hu.npy", volume.hu_zyx)
    np.save(tmp_path / "affine.npy", volume.affine_lps)
    loaded = loaded_by(
        f"""
import numpy as np
from pathlib import Path
from cspine.core.volumes import CtVolume
from cspine.inference.settings import InferenceSettings
from cspine.models.package import load_package
from cspine.pipeline.segmentation import find_vertebrae
folder = Path({str(tmp_path)!r})
ct = CtVolume(np.load(folder / "hu.npy"), np.load(folder / "affine.npy"))
package = load_package(Path({str(package.folder)!r}))
find_vertebrae(ct, package, InferenceSettings("cpu", engine="openvino"))
"""
    )
    assert "openvino" in loaded
    assert {"torch", "nnunetv2", "highdicom", "matplotlib", "SimpleITK", "skimage"}.isdisjoint(loaded)
