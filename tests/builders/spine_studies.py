"""Studies of whole spines as DICOM, and a model that knows where their vertebrae are, instead of a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cspine.core.anatomy import FULL_SPINE_LEVELS
from cspine.core.geometry import resample_labels
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.dicom.write_ct import CtSeriesDescription, write_ct_series
from cspine.inference.predict import Inference
from cspine.models.package import ModelPackage
from cspine.pipeline import steps
from tests.builders.nnunet_results import TinyModel
from tests.builders.spine_phantom import MODEL, Trunk, trunk_volumes


def write_trunk(folder: Path, trunk: Trunk, description: CtSeriesDescription) -> None:
    """Write a phantom as a CT series."""
    _, ct, _ = trunk_volumes(trunk)
    write_ct_series(ct, folder, description)


def full_spine_package(folder: Path) -> ModelPackage:
    """A package with random weights whose labels are those of a full-spine model, the sacrum among them."""
    names = ["background", *(level.name for level in FULL_SPINE_LEVELS), "sacrum"]
    return TinyModel(labels={name: number for number, name in enumerate(names)}).package(folder)


def predict_trunk_with(monkeypatch: pytest.MonkeyPatch, trunk: Trunk) -> None:
    """Let a full-spine model predict the phantom's vertebrae and its sacrum."""

    def infer(ct: CtVolume, *_: object) -> Inference:
        labels, _, sacrum = trunk_volumes(trunk)
        predicted = resample_labels(labels.labels_zyx, labels.grid, ct.grid)
        seen = resample_labels(sacrum.astype(np.uint8), labels.grid, ct.grid) > 0
        return Inference(
            labels=LabelVolume(predicted, ct.affine_lps, MODEL),
            auxiliary_zyx=seen,
            record={"device": "cpu"},
            levels=FULL_SPINE_LEVELS,
            sacrum_zyx=seen,
        )

    monkeypatch.setattr(steps, "infer", infer)
