"""A folder of phantom CTs with organs, and a stand-in for a model that knows them: audits without a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cspine.core.geometry import Grid, resample_labels
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.inference.predict import Inference
from cspine.inference.settings import InferenceSettings
from cspine.io import nifti
from cspine.models.package import ModelPackage
from cspine.pipeline import agreement, segmentation
from cspine.pipeline.segmentation import Vertebrae, clean
from cspine.study.audits import audit
from cspine.study.audits.audit import AuditFolder, AuditRecord, AuditSettings
from cspine.study.audits.audit_cases import find_cases
from tests.builders.nnunet_results import TinyModel
from tests.builders.spine_phantom import MODEL, Phantom, draw

#: Room around the neck, and a ninth vertebra below T1 that only the auxiliary class knows.
NECK = Phantom(labels=(1, 2, 3, 4, 5, 6, 7, 8, 9), shape_zyx=(86, 60, 50), spacing_xyz=(2.0, 2.0, 2.0))


def write_case(folder: Path, name: str, *, lost: int = 0, cord: bool = True) -> None:
    """Write a CT in which the HU say which vertebra it is (the stand-in reads them), and its organs."""
    phantom_labels = draw(NECK)
    hu = np.where(phantom_labels > 0, 300 + 20 * phantom_labels.astype(np.int16), 40).astype(np.int16)
    hu[..., 0] = -90
    hu[phantom_labels == lost] = 40 if lost else hu[phantom_labels == lost]
    nifti.write(folder / f"{name}_ct.nii.gz", hu, NECK.grid().affine_lps)
    if cord:
        nifti.write(folder / f"{name}_oar.nii.gz", organs(), NECK.grid().affine_lps)


def organs() -> np.ndarray:
    """A cord (2) within the rings and a larynx (6) in front of C5."""
    z, y, x = np.indices(NECK.shape_zyx, dtype=np.float32) * 2.0
    cx, cy, _ = NECK.centre_mm(0)
    labels = np.zeros(NECK.shape_zyx, dtype=np.uint8)
    labels[(x - cx) ** 2 + (y - cy - 16) ** 2 <= 16] = 2
    labels[(np.abs(x - cx) <= 10) & (y <= 10) & (np.abs(z - NECK.centre_mm(4)[2]) <= 12)] = 6
    return labels


class StandIn:
    """Predicts the phantom's vertebrae from their HU, and counts how often it was asked; it may fail once instead."""

    def __init__(self) -> None:
        self.asked = 0
        self.fails_with: BaseException | None = None

    def __call__(self, ct: CtVolume, package: ModelPackage, settings: InferenceSettings) -> tuple[Inference, Vertebrae]:
        self.asked += 1
        if self.fails_with is not None:
            error, self.fails_with = self.fails_with, None
            raise error
        truth = resample_labels(draw(NECK), NECK.grid(), Grid(ct.grid.shape_zyx, ct.affine_lps))
        predicted = np.where(ct.hu_zyx > 170, truth, np.uint8(0)).astype(np.uint8)
        labels = LabelVolume(np.where(predicted > 8, np.uint8(0), predicted), ct.affine_lps, MODEL)
        inference = Inference(labels=labels, auxiliary_zyx=predicted > 8, record={})
        return inference, clean(inference, ct)


def tiny_package(folder: Path, seed: int = 0) -> ModelPackage:
    """A model package for its name and checksum."""
    return TinyModel(seed=seed).package(folder / f"tiny-{seed}")


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """The stand-in instead of the network."""
    model = StandIn()
    for module in (agreement, audit, segmentation):
        monkeypatch.setattr(module, "find_vertebrae", model)
    return model


#: Without agreement, with two organs.
ORGANS = AuditSettings(agreement=False, organ_labels={"cord": 2, "larynx": 6})


@pytest.fixture
def done(tmp_path: Path, stand_in: StandIn) -> tuple[Path, AuditRecord]:
    """Folder of one case that was audited into its ``out``, and its record."""
    write_case(tmp_path, "a")
    case = find_cases(tmp_path, tmp_path)[0]
    return tmp_path, audit.audit_case(case, tiny_package(tmp_path), ORGANS, AuditFolder(tmp_path / "out"))
