"""Findings about bone that is joined to a transverse process of C7 and reaches where only a rib does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cspine.core.anatomy import vertebra
from cspine.core.findings import CERVICAL_RIB, Finding
from cspine.core.geometry import reorientation
from cspine.core.norms import MAX_TRANSVERSE_REACH_MM, MIN_RIB_HU
from cspine.core.shape import value_boxes
from cspine.core.volumes import CtVolume, LabelArray, LabelVolume

_C7, _T1 = vertebra("C7").label, vertebra("T1").label
#: The bone is sought in voxels of about this size.
_VOXEL_MM = 1.0
#: Transverse processes lie further to the side of the centre of C7 than this.
_SIDE_MM = 20.0
#: How far around C7 a rib is sought: up and down, to front and back, to both sides.
_MARGIN_ZYX_MM = (12.0, 25.0, 45.0)
#: A joint space is narrower than this, and so is the edge of a label beside unlabelled bone.
_JOINT_MM = 2.0
#: A smaller contact is that of noise or of a calcified ligament.
_MIN_CONTACT_MM2 = 20.0
#: So many voxels lie beyond what counts as the end of a bone.
_END_VOXELS = 10


def rib_findings(ct: CtVolume, labels: LabelVolume) -> tuple[Finding, ...]:
    """Return a finding for each side on which C7 and the unlabelled bone joined to it reach beyond the norm.

    Bone that is joined to T1 too is not counted: the first rib may lie close to C7. Without T1 nothing is said, because
    its bone would be unlabelled.

    Parameters
    ----------
    ct : CtVolume
        The image.
    labels : LabelVolume
        The vertebrae on the grid of the image.

    Returns
    -------
    tuple of Finding
        Right before left.
    """
    part = _around_c7(ct, labels)
    if part is None:
        return ()
    bone = (part.labels_zyx == _C7) | _joined_bone(part)
    found = []
    for side, sign in (("right", -1), ("left", 1)):
        reach = _reach_mm(bone, sign * part.left_mm)
        if reach > MAX_TRANSVERSE_REACH_MM:
            found.append(
                CERVICAL_RIB.about(
                    f"Bone joined to C7 reaches {reach:.0f} mm to the {side}, further than a transverse process: a "
                    "cervical rib is possible, or this vertebra is T1.",
                    "C7",
                )
            )
    return tuple(found)


@dataclass(frozen=True, eq=False)
class _Part:
    """The image and the labels about C7; axes to left, posterior and superior."""

    hu_zyx: NDArray[np.float32]
    labels_zyx: LabelArray
    spacing_zyx: tuple[float, float, float]

    @property
    def left_mm(self) -> NDArray[np.float64]:
        """How far each column lies to the left of the centre of C7."""
        column = np.arange(self.labels_zyx.shape[2])
        centre = np.average(column, weights=(self.labels_zyx == _C7).sum(axis=(0, 1)))
        return np.asarray((column - centre) * self.spacing_zyx[2])


def _around_c7(ct: CtVolume, labels: LabelVolume) -> _Part | None:
    """Return what surrounds C7, in voxels of about a millimetre; None without C7 and T1."""
    boxes = value_boxes(labels.labels_zyx)
    if _C7 not in boxes or _T1 not in boxes:
        return None
    change = reorientation(labels.affine_lps, "LPS")
    grid = change.grid(labels.grid)
    z_mm, y_mm, x_mm = reversed(grid.spacing_xyz)
    box = tuple(
        slice(max(part.start - round(margin / step), 0), part.stop + round(margin / step))
        for part, margin, step in zip(
            change.box(boxes[_C7], labels.grid.shape_zyx), _MARGIN_ZYX_MM, (z_mm, y_mm, x_mm), strict=True
        )
    )
    z, y, x = (max(1, round(_VOXEL_MM / step)) for step in (z_mm, y_mm, x_mm))
    hu = _in_blocks(change.apply(ct.hu_zyx)[box], (z, y, x)).mean(axis=(1, 3, 5), dtype=np.float32)
    coarse = _in_blocks(change.apply(labels.labels_zyx)[box], (z, y, x)).max(axis=(1, 3, 5))
    return _Part(hu, coarse, (z * z_mm, y * y_mm, x * x_mm))


def _in_blocks(array_zyx: NDArray[Any], steps_zyx: tuple[int, int, int]) -> NDArray[Any]:
    """Return complete blocks of an array: each axis becomes the number of a block and the position within it."""
    counts = [n // step for n, step in zip(array_zyx.shape, steps_zyx, strict=True)]
    complete = array_zyx[tuple(slice(0, count * step) for count, step in zip(counts, steps_zyx, strict=True))]
    return complete.reshape([size for pair in zip(counts, steps_zyx, strict=True) for size in pair])


def _joined_bone(part: _Part) -> NDArray[np.bool_]:
    """Return the unlabelled bone that is joined to a side of C7 and not to T1."""
    sides = (part.labels_zyx == _C7) & (np.abs(part.left_mm) >= _SIDE_MM)
    unlabelled = (part.hu_zyx >= MIN_RIB_HU) & (part.labels_zyx == 0)
    bones = np.asarray(cc3d.connected_components(unlabelled, connectivity=6))
    area_mm2 = float(np.prod(part.spacing_zyx)) ** (2 / 3)
    contact = np.bincount(bones[_beside(sides, part)], minlength=int(bones.max()) + 1) * area_mm2
    contact[0] = 0
    joined = contact >= _MIN_CONTACT_MM2
    joined[np.unique(bones[_beside(part.labels_zyx == _T1, part)])] = False
    return np.asarray(joined[bones])


def _beside(mask_zyx: NDArray[np.bool_], part: _Part) -> NDArray[np.bool_]:
    """Return the voxels outside a mask that are no further from it than a joint is wide."""
    reach_mm = max(_JOINT_MM, *part.spacing_zyx)
    z, y, x = (np.arange(-(reach_mm // step), reach_mm // step + 1) * step for step in part.spacing_zyx)
    ball = z[:, None, None] ** 2 + y[:, None] ** 2 + x**2 <= reach_mm**2
    return np.asarray(ndimage.binary_dilation(mask_zyx, ball) & ~mask_zyx)


def _reach_mm(bone_zyx: NDArray[np.bool_], aside_mm: NDArray[np.float64]) -> float:
    """Return how far bone reaches to a side; less than a few voxels there do not count."""
    outwards = np.argsort(aside_mm)
    beyond = np.cumsum(bone_zyx.sum(axis=(0, 1))[outwards][::-1])[::-1]
    return float(max(aside_mm[outwards][beyond >= _END_VOXELS], default=0.0))
