"""The symmetry of a vertebra: its Dice with its mirror image, at the sagittal plane that fits it best."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from cspine.core.geometry import to_index, to_lps
from cspine.core.shape import LevelShape, complete_shapes
from cspine.core.volumes import LabelVolume
from cspine.postprocessing.order import head_axis

#: The sagittal plane is looked for within these angles and this shift of the column's own.
SYMMETRY_ANGLE_DEG, SYMMETRY_SHIFT_MM = 25.0, 4.0
#: So many points of a vertebra are mirrored.
_SYMMETRY_POINTS = 4000


def mirror_dice(labels: LabelVolume, shape: LevelShape, column_lps: NDArray[np.float64]) -> float:
    """Return the Dice of a vertebra with its mirror image, at the sagittal plane that fits it best.

    The search begins with the plane through the centroid that holds the column's direction and is closest to the
    patient's own; it may turn and shift from there.

    Parameters
    ----------
    labels : LabelVolume
        Labels.
    shape : LevelShape
        The vertebra.
    column_lps : ndarray, shape (3,)
        Direction of the column towards the head.
    """
    mask = labels.labels_zyx[shape.box_zyx] == shape.vertebra.label
    start_xyz = np.array([part.start for part in reversed(shape.box_zyx)], dtype=np.float64)
    index_xyz = np.argwhere(mask)[:, ::-1] + start_xyz
    index_xyz = index_xyz[:: max(1, len(index_xyz) // _SYMMETRY_POINTS)]
    points = to_lps(labels.affine_lps, index_xyz.astype(np.float64)) - shape.centroid_lps
    left = np.array([1.0, 0.0, 0.0]) - column_lps[0] * column_lps
    left /= np.linalg.norm(left)
    back = np.cross(column_lps, left)
    size_xyz = np.array(mask.shape[::-1])

    def dice(plane: NDArray[np.float64]) -> float:
        yaw, roll = np.deg2rad(plane[:2])
        normal = left + np.tan(yaw) * back + np.tan(roll) * column_lps
        normal /= np.linalg.norm(normal)
        mirrored = points - 2 * ((points @ normal) - plane[2])[:, None] * normal + shape.centroid_lps
        place = np.rint(to_index(labels.affine_lps, mirrored) - start_xyz).astype(int)
        inside = np.all((place >= 0) & (place < size_xyz), axis=1)
        x, y, z = place[inside].T
        return float(np.count_nonzero(mask[z, y, x]) / len(points))

    limits = np.array([SYMMETRY_ANGLE_DEG, SYMMETRY_ANGLE_DEG, SYMMETRY_SHIFT_MM])
    steps = np.array([8.0, 8.0, 2.0])
    simplex = np.vstack([np.zeros(3), np.diag(steps)])
    best = optimize.minimize(
        lambda plane: -dice(np.clip(plane, -limits, limits)),
        np.zeros(3),
        method="Nelder-Mead",
        options={"initial_simplex": simplex, "maxfev": 80, "xatol": 0.2, "fatol": 1e-3},
    )
    return max(dice(np.zeros(3)), -float(best.fun))


def mirror_dices(labels: LabelVolume, shapes: tuple[LevelShape, ...]) -> dict[str, float]:
    """Return `mirror_dice` of each complete vertebra, by name.

    Parameters
    ----------
    labels : LabelVolume
        Labels.
    shapes : tuple of LevelShape
        Their levels.
    """
    if not shapes:
        return {}
    axis = head_axis(np.array([shape.centroid_lps for shape in shapes]))
    return {shape.vertebra.name: mirror_dice(labels, shape, axis) for shape in complete_shapes(shapes)}
