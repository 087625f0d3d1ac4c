"""A set of two small cases, and packages of tiny models that take one second per case."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cspine.core.volumes import CtVolume, LabelVolume
from cspine.io import nifti
from cspine.study.synthesis.atlas import Atlas
from cspine.study.synthesis.evaluation_sets import synthesize_set_case
from cspine.study.synthetic_training.packaging import Provenance, package_model
from cspine.study.synthetic_training.train_synthetic import build_network
from tests.builders.small_set import small_case
from tests.builders.tiny_training import tiny_recipe


def write_set_case(folder: Path, name: str, ct: CtVolume, labels: LabelVolume) -> None:
    nifti.write(folder / "images" / f"{name}_0000.nii.gz", ct.hu_zyx, ct.affine_lps)
    nifti.write(folder / "labels" / f"{name}.nii.gz", labels.labels_zyx, labels.affine_lps)


@pytest.fixture(scope="session")
def small_sets(tmp_path_factory: pytest.TempPathFactory, atlas: Atlas) -> Path:
    """Two sets of one case each."""
    folder = tmp_path_factory.mktemp("sets")
    for name in ("hard", "ordinary"):
        write_set_case(folder / name, f"{name}_1", *synthesize_set_case(atlas, small_case(name, 1)))
    return folder


def certain_model(folder: Path, label: int, version: str) -> Path:
    """A package that sees one class everywhere."""
    torch.manual_seed(0)
    recipe = tiny_recipe(version=version)
    weights = {name: value.clone() for name, value in build_network(recipe).state_dict().items()}
    for name, value in weights.items():
        if "seg_layers" in name and name.endswith("bias"):
            value.zero_()
            value[label] = 1000
    package_model(recipe, weights, Provenance(1), folder)
    return folder
