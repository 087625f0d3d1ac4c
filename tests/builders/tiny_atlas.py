"""A small anatomical atlas of simple solids in the files that `load_atlas` reads: a spine of rings in a neck.

It is not symmetric: the only lung is on the patient's left, the teeth are on the right, the airway is in front.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from cspine.core.geometry import Affine, Grid, reorientation
from cspine.io import nifti
from cspine.study.synthesis import atlas as tissues
from cspine.study.synthesis.case import CaseSettings
from cspine.study.synthesis.deformation import Posture
from cspine.study.synthesis.scanner import Acquisition

#: Voxels along z, y, x, of 1 mm, axes to L, P, S.
SHAPE_ZYX = (108, 56, 48)
STEP = 8
NAMES = {
    0: "air outside the body",
    **{label: f"C{label}" if label < 8 else f"T{label - 7}" for label in range(1, 14)},
    20: "other bone",
    21: "teeth",
    22: "disc",
    23: "cartilage",
    24: "airway",
    25: "vessel",
    26: "brain",
    28: "gland",
    30: "muscle",
    40: "fat",
    41: "lung",
    42: "spinal canal",
}


def affine_lps() -> Affine:
    affine = np.eye(4)
    affine[:3, 3] = (-20.0, -15.0, 1000.0)
    return affine


def bottom_of(label: int) -> int:
    """Index z of the lowest voxels of a vertebra, each of which is six voxels high."""
    return STEP * (13 - label) + 1


def draw() -> np.ndarray:
    """Return the labels of the atlas, uint8, shape (z, y, x)."""
    z, y, x = np.indices(SHAPE_ZYX)
    labels = np.zeros(SHAPE_ZYX, dtype=np.uint8)
    body = ((x - 23.5) / 23) ** 2 + ((y - 27) / 26) ** 2 <= 1
    labels[body] = tissues.FAT
    labels[body & (y > 20)] = tissues.MUSCLE
    labels[(np.abs(x - 37) < 3) & (np.abs(y - 17) < 4) & (z < 40)] = tissues.LUNG
    labels[((x - 23.5) ** 2 + (y - 7) ** 2 < 14) & (z < 90)] = tissues.AIRWAY
    labels[(np.abs(x - 23.5) < 3) & (np.abs(y - 11) < 1) & (z > 50) & (z < 70)] = tissues.CARTILAGE
    labels[((x - 12) ** 2 + (y - 14) ** 2 < 9) & (z < 85)] = tissues.VESSEL
    labels[((x - 33) ** 2 + (y - 14) ** 2 < 9) & (z > 45) & (z < 60)] = tissues.GLAND
    labels[(np.abs(x - 23.5) < 9) & (y > 2) & (y < 10) & (z > 98)] = tissues.OTHER_BONE
    labels[(x > 8) & (x < 13) & (y > 8) & (y < 13) & (z > 96)] = tissues.TEETH
    labels[(np.abs(x - 23.5) < 8) & (y > 44) & (z > 103) & body] = tissues.BRAIN
    column = (np.abs(x - 23.5) < 8) & (y >= 14) & (y < 24)
    labels[column & (z < 103)] = tissues.DISC
    foramen = (np.abs(x - 23.5) < 9) & (y >= 24) & (y < 37)
    labels[foramen & (z < 103)] = tissues.CANAL
    ring = (np.abs(x - 23.5) < 12) & (y >= 22) & (y < 40) & ~foramen
    for label in range(1, 14):
        height = (z >= bottom_of(label)) & (z < bottom_of(label) + 6)
        labels[height & (column | ring)] = label
    return labels


def write_atlas(folder: Path, labels_zyx: np.ndarray | None = None, orientation: str = "RAS") -> Path:
    """Write the atlas, its array stored in another orientation than the fields have; return the folder."""
    labels = draw() if labels_zyx is None else labels_zyx
    z, y, x = labels.shape
    grid = Grid((z, y, x), affine_lps())
    change = reorientation(grid.affine_lps, orientation)
    stored = np.ascontiguousarray(change.apply(labels))
    nifti.write(folder / "neck_atlas_1mm.nii.gz", stored, change.grid(grid).affine_lps)
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines)
        writer.writerow(["label", "name", "voxels"])
        writer.writerows([number, name, int((labels == number).sum())] for number, name in NAMES.items())
    return folder


#: The atlas as it is: no rotation, no bend, no elastic field.
UPRIGHT = Posture(np.eye(3), np.ones(3), np.zeros((2, 4)), 0.0, np.ones((13, 3)), (), 0)
#: A scanner without blur, noise, streaks or table.
PERFECT = Acquisition(
    blur_mm=0.0,
    slice_mm=1.0,
    pixel_mm=0.0,
    sharpness=0.0,
    shell=False,
    noise_hu=0.0,
    noise_grain_mm=0.4,
    streaks=0.0,
    table=False,
    circular=False,
    seed=0,
)


def plain_case(spacing_mm: float = 1.0) -> CaseSettings:
    """Settings of a case that shows the complete atlas as it is."""
    return CaseSettings((spacing_mm,) * 3, (90.0, 90.0, 150.0), complete_neck=True, posture=UPRIGHT, scan=PERFECT)
