"""A spine of simple solids with known labels: bodies, arches and spinous processes stacked from head to foot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cspine.geometry import Grid
from cspine.volumes import CtVolume, LabelVolume, ModelIdentity

MODEL = ModelIdentity("phantom-net", "1.2.0", "ab" * 32, demonstration=True)


@dataclass(frozen=True)
class Phantom:
    """How the spine is drawn.

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
    lean_mm : float
        How far each vertebra lies in front of the one below: a flexed neck.
    """

    labels: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)
    shape_zyx: tuple[int, int, int] = (170, 90, 80)
    spacing_xyz: tuple[float, float, float] = (1.0, 1.0, 1.0)
    step_mm: float = 18.0
    lean_mm: float = 0.0

    def grid(self) -> Grid:
        affine = np.diag([*self.spacing_xyz, 1.0])
        affine[:3, 3] = (-40.0, -180.0, -700.0)
        return Grid(self.shape_zyx, affine)

    def centre_mm(self, place: int) -> tuple[float, float, float]:
        """Centre of the body of the vertebra at this place from the head: x, y, z from the first voxel."""
        x, y, z = (n * mm for n, mm in zip(reversed(self.shape_zyx), self.spacing_xyz, strict=True))
        return x / 2, y * 0.4 - self.lean_mm * (len(self.labels) - 1 - place), z - 16 - place * self.step_mm


def draw(phantom: Phantom) -> np.ndarray:
    """Return the labels, uint8, shape (z, y, x)."""
    labels = np.zeros(phantom.shape_zyx, dtype=np.uint8)
    index = np.indices(phantom.shape_zyx, dtype=np.float32)
    z, y, x = (index[i] * phantom.spacing_xyz[2 - i] for i in range(3))
    for place, label in enumerate(phantom.labels):
        cx, cy, cz = phantom.centre_mm(place)
        body = ((x - cx) / 14) ** 2 + ((y - cy) / 10) ** 2 <= 1
        ring = (((x - cx) / 15) ** 2 + ((y - cy - 16) / 11) ** 2 <= 1) & (
            ((x - cx) / 10) ** 2 + ((y - cy - 16) / 7) ** 2 > 1
        )
        spine = (np.abs(x - cx) <= 3) & (y >= cy + 24) & (y <= cy + 36)
        labels[(body & (np.abs(z - cz) <= 6)) | ((ring | spine) & (np.abs(z - cz) <= 5))] = label
    return labels


def volumes(phantom: Phantom | None = None, labels_zyx: np.ndarray | None = None) -> tuple[LabelVolume, CtVolume]:
    """Return the labels and a CT in which they are bone among soft tissue."""
    phantom = phantom or Phantom()
    drawn = draw(phantom) if labels_zyx is None else labels_zyx
    hu = np.where(drawn > 0, 400, 40).astype(np.int16)
    affine = phantom.grid().affine_lps
    return LabelVolume(drawn, affine, MODEL), CtVolume(hu, affine)
