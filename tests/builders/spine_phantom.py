"""A spine of simple solids with known labels: bodies, arches and spinous processes stacked from head to foot.

C1 is a ring: it has no bone behind its anterior arch in the middle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cspine.core.anatomy import vertebra
from cspine.core.geometry import Grid
from cspine.core.shape import LevelShape, shapes_of
from cspine.core.volumes import CtVolume, LabelVolume, ModelIdentity

MODEL = ModelIdentity("phantom-net", "1.2.0", "ab" * 32, demonstration=True)


@dataclass(frozen=True)
class Phantom:
    """The shape of the spine.

    Parameters
    ----------
    labels : tuple of int
        Labels from head to foot.
    shape_zyx : tuple of int
        Voxels along z (towards the head), y (posterior), x (left).
    spacing_xyz : tuple of float
        Millimetres.
    step_mm : float
        Distance between neighbouring vertebrae.
    shear_mm : float
        How far each vertebra lies in front of the one below: a flexed neck.
    """

    labels: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)
    shape_zyx: tuple[int, int, int] = (170, 90, 80)
    spacing_xyz: tuple[float, float, float] = (1.0, 1.0, 1.0)
    step_mm: float = 18.0
    shear_mm: float = 0.0

    def grid(self) -> Grid:
        affine = np.diag([*self.spacing_xyz, 1.0])
        affine[:3, 3] = (-40.0, -180.0, -700.0)
        return Grid(self.shape_zyx, affine)

    def centre_mm(self, index: int) -> tuple[float, float, float]:
        """Centre of the body of the vertebra with this index from the head: x, y, z from the first voxel."""
        x, y, z = (n * mm for n, mm in zip(reversed(self.shape_zyx), self.spacing_xyz, strict=True))
        return x / 2, y * 0.4 - self.shear_mm * (len(self.labels) - 1 - index), z - 16 - index * self.step_mm


def hu_of(bone: np.ndarray) -> np.ndarray:
    """Hounsfield units of bone in muscle, with a layer of fat at one side, (z, y, x) int16."""
    hu = np.where(bone, 400, 40).astype(np.int16)
    hu[..., 0][~bone[..., 0]] = -90
    return hu


def draw(phantom: Phantom) -> np.ndarray:
    """Return the labels, uint8, shape (z, y, x)."""
    labels = np.zeros(phantom.shape_zyx, dtype=np.uint8)
    index = np.indices(phantom.shape_zyx, dtype=np.float32)
    z, y, x = (index[i] * phantom.spacing_xyz[2 - i] for i in range(3))
    for number, label in enumerate(phantom.labels):
        cx, cy, cz = phantom.centre_mm(number)
        body = ((x - cx) / 14) ** 2 + ((y - cy) / 10) ** 2 <= 1
        if label == 1:
            body &= (np.abs(x - cx) >= 7) | (y <= cy - 8)
        ring = (((x - cx) / 15) ** 2 + ((y - cy - 16) / 11) ** 2 <= 1) & (
            ((x - cx) / 10) ** 2 + ((y - cy - 16) / 7) ** 2 > 1
        )
        spine = (np.abs(x - cx) <= 3) & (y >= cy + 24) & (y <= cy + 36)
        labels[(body & (np.abs(z - cz) <= 6)) | ((ring | spine) & (np.abs(z - cz) <= 5))] = label
    return labels


NECK = Phantom()


def spine(phantom: Phantom = NECK, truth: np.ndarray | None = None) -> tuple[LabelVolume, tuple[LevelShape, ...]]:
    """Labels of a phantom, or other labels on its grid, with their shapes."""
    labels = LabelVolume(draw(phantom) if truth is None else truth, phantom.grid().affine_lps)
    return labels, shapes_of(labels.labels_zyx, labels.grid)


def canal(phantom: Phantom = NECK, *, aside_mm: float = 0.0, radius_mm: float = 4.0) -> np.ndarray:
    """A cord in the centre of the rings, or beside them."""
    _, y, x = np.indices(phantom.shape_zyx, dtype=np.float32)
    cx, cy, _ = phantom.centre_mm(0)
    step_x, step_y, _ = phantom.spacing_xyz
    return (x * step_x - cx - aside_mm) ** 2 + (y * step_y - cy - 16) ** 2 <= radius_mm**2


def volumes(phantom: Phantom | None = None, labels_zyx: np.ndarray | None = None) -> tuple[LabelVolume, CtVolume]:
    """Return the labels and a CT in which they are bone among soft tissue."""
    phantom = phantom or Phantom()
    truth = draw(phantom) if labels_zyx is None else labels_zyx
    hu = hu_of(truth > 0)
    affine = phantom.grid().affine_lps
    return LabelVolume(truth, affine, MODEL), CtVolume(hu, affine)


#: Step to the next vertebra below, half width and half depth of the body, millimetres, by region.
_SIZES = {"C": (18.0, 14.0, 10.0), "T": (23.0, 16.0, 13.0), "L": (34.0, 23.0, 17.0), "S": (34.0, 23.0, 17.0)}
NORMAL = tuple(range(1, 25))  # C1..L5


@dataclass(frozen=True)
class Trunk:
    """A whole spine, or a part of it: vertebrae as large as they are in their regions, and the sacrum.

    Parameters
    ----------
    labels : tuple of int
        Labels from head to foot.
    sacrum : bool
        True to draw it below the last vertebra.
    spacing_mm : float
        Of cubic voxels.
    bend_mm : float
        How far the centre of the spine lies behind its ends.
    holes : tuple of int
        Labels whose position stays empty: missed by a network.
    """

    labels: tuple[int, ...] = NORMAL
    sacrum: bool = True
    spacing_mm: float = 3.0
    bend_mm: float = 25.0
    holes: tuple[int, ...] = ()

    def heights_mm(self) -> list[float]:
        """How far below the first vertebra each one lies, the sacrum last."""
        steps = [_SIZES[vertebra(label).region.value][0] for label in self.labels]
        between = [(a + b) / 2 for a, b in zip(steps, [*steps[1:], _SIZES["S"][0]], strict=True)]
        return [0.0, *np.cumsum(between).tolist()]

    def grid(self) -> Grid:
        height = self.heights_mm()[-1] + 130
        shape = tuple(int(mm / self.spacing_mm) for mm in (height, 130 + abs(self.bend_mm), 110))
        affine = np.diag([self.spacing_mm] * 3 + [1.0])
        affine[:3, 3] = (-55.0, -200.0, -height)
        return Grid(shape, affine)

    def draw(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the labels (uint8) and the sacrum (bool), shape (z, y, x)."""
        shape = self.grid().shape_zyx
        labels, sacrum = np.zeros(shape, dtype=np.uint8), np.zeros(shape, dtype=bool)
        z, y, x = (i * self.spacing_mm for i in np.indices(shape, dtype=np.float32))
        heights, top, centre_x = self.heights_mm(), shape[0] * self.spacing_mm - 30, shape[2] * self.spacing_mm / 2
        for index, label in enumerate((*self.labels, 0)):
            step, rx, ry = _SIZES[vertebra(label).region.value if label else "S"]
            cz = top - heights[index]
            cy = 40 + self.bend_mm * np.sin(np.pi * heights[index] / max(heights[-1], 1))
            ring = ((x - centre_x) / (rx + 2)) ** 2 + ((y - cy - ry - 8) / 13) ** 2 <= 1
            bone = ((x - centre_x) / rx) ** 2 + ((y - cy) / ry) ** 2 <= 1
            if label == 1:
                bone &= (np.abs(x - centre_x) >= 7) | (y <= cy - 8)
            hole = ((x - centre_x) / 9) ** 2 + ((y - cy - ry - 8) / 8) ** 2 <= 1
            spine = (np.abs(x - centre_x) <= 4) & (y >= cy + ry + 18) & (y <= cy + ry + 38)
            half = (step - 6) / 2
            arch = ((ring & ~hole) | spine) & (np.abs(z - cz) <= half - 2)
            if label == 0:
                sacrum |= bone & (z <= cz + half) & (z >= cz - 55) & self.sacrum
            elif label not in self.holes:
                labels[(bone & (np.abs(z - cz) <= half)) | arch] = label
        return labels, sacrum & (labels == 0)


def trunk_volumes(
    trunk: Trunk | None = None, labels_zyx: np.ndarray | None = None
) -> tuple[LabelVolume, CtVolume, np.ndarray]:
    """Return labels, a CT in which they and the sacrum are bone, and the sacrum."""
    trunk = trunk or Trunk()
    truth, sacrum = trunk.draw()
    labels = truth if labels_zyx is None else labels_zyx
    hu = hu_of((truth > 0) | (labels > 0) | sacrum)
    affine = trunk.grid().affine_lps
    return LabelVolume(labels, affine, MODEL), CtVolume(hu, affine), sacrum
