"""The anatomical axes of a vertebra: up, to the front and to the left, with its canal as the origin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cspine.core.geometry import to_lps
from cspine.surfaces.surface import Points
from cspine.surfaces.vertebrae import Solid

#: Pixel of the view along the axis, and the smallest area of a canal in it.
_PIXEL_MM = 1.0
_MIN_CANAL_MM2 = 60.0
#: Arches that labels leave open are closed over so many millimetres.
_CLOSINGS_MM = (0, 2, 4, 6)
#: How often the front is sought again.
_TURNS = 4
#: Half the width of the body as a share of the width of the canal.
BODY_HALF_WIDTH = 0.42
Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class VertebraFrame:
    """The axes of a vertebra.

    Parameters
    ----------
    origin_lps : ndarray, shape (3,)
        Centre of the canal at the height of the vertebra's centroid.
    left, anterior, up : ndarray, shape (3,)
        Perpendicular unit vectors (LPS).
    canal_width_mm : float
        Width of the canal.
    canal_front_mm : float
        Anterior coordinate of its front wall: the body lies before it.
    """

    origin_lps: Vector
    left: Vector
    anterior: Vector
    up: Vector
    canal_width_mm: float
    canal_front_mm: float

    def coordinates(self, points_lps: Points) -> Points:
        """Return points as millimetres to the left, to the front and up, shape (n, 3).

        Parameters
        ----------
        points_lps : ndarray, shape (n, 3)
            Millimetres in LPS.
        """
        return np.asarray((points_lps - self.origin_lps) @ np.stack([self.left, self.anterior, self.up], axis=1))

    def is_body(self, points_lps: Points) -> NDArray[np.bool_]:
        """Return which points lie before the canal, within the width of the body.

        Parameters
        ----------
        points_lps : ndarray, shape (n, 3)
            Millimetres in LPS.

        Returns
        -------
        ndarray of bool, shape (n,)
            One value for each point.
        """
        left, anterior, _ = self.coordinates(points_lps).T
        return np.asarray((anterior > self.canal_front_mm) & (np.abs(left) < BODY_HALF_WIDTH * self.canal_width_mm))


def frames_of(solids: Sequence[Solid]) -> list[VertebraFrame | None]:
    """Return the axes of each vertebra, from head to foot; None where no canal is seen.

    The canal is the largest hole in the view along the column, which runs through the centres of the neighbours.

    Parameters
    ----------
    solids : sequence of Solid
        Vertebrae of one column, from head to foot.
    """
    points = [voxel_centres(solid) for solid in solids]
    centres = np.array([each.mean(axis=0) for each in points])
    frames = []
    for i, own in enumerate(points):
        # The centre of a vertebra that the edge of the image cuts is not where it seems.
        beside = [j for j in (i - 1, i + 1) if 0 <= j < len(solids) and not solids[j].touches_edge]
        used = sorted([*beside, i]) if len(beside) < 2 else beside
        along = centres[used[0]] - centres[used[-1]] if len(used) > 1 else np.array([0.0, 0.0, 1.0])
        frames.append(frame_along(own, along))
    return frames


def voxel_centres(solid: Solid) -> Points:
    """Return the centres of the voxels of a solid, millimetres (LPS), shape (n, 3).

    Parameters
    ----------
    solid : Solid
        Mask of a vertebra with its affine.
    """
    return to_lps(solid.affine_lps, np.argwhere(solid.mask_zyx)[:, ::-1].astype(np.float64))


def frame_along(points_lps: Points, up: Vector) -> VertebraFrame | None:
    """Return the axes of a vertebra whose upward direction is known; None if it has no canal.

    Parameters
    ----------
    points_lps : ndarray, shape (n, 3)
        Centres of its voxels.
    up : ndarray, shape (3,)
        Direction towards the head.
    """
    up = up / np.linalg.norm(up)
    anterior = _perpendicular(np.array([0.0, -1.0, 0.0]), up)
    frame = _frame_towards(points_lps, up, anterior)
    # The head may be turned: the front is where the body is.
    for _ in range(_TURNS):
        body = points_lps[frame.is_body(points_lps)] if frame is not None else points_lps[:0]
        if frame is None or not len(body):
            return None
        frame = _frame_towards(points_lps, up, _perpendicular(body.mean(axis=0) - frame.origin_lps, up))
    return frame


def _frame_towards(points_lps: Points, up: Vector, anterior: Vector) -> VertebraFrame | None:
    left = np.cross(up, anterior)
    centre = points_lps.mean(axis=0)
    flat = (points_lps - centre) @ np.stack([left, anterior], axis=1)
    canal = _canal(flat)
    if canal is None:
        return None
    middle = canal.mean(axis=0)
    across = canal - middle
    width = float(np.ptp(across[:, 0])) + _PIXEL_MM
    front = float(across[np.abs(across[:, 0]) < width / 6, 1].max()) + _PIXEL_MM / 2
    return VertebraFrame(centre + middle[0] * left + middle[1] * anterior, left, anterior, up, width, front)


def _canal(flat: Points) -> Points | None:
    """Return the pixels of the largest hole among points of a plane, millimetres, shape (n, 2)."""
    low = flat.min(axis=0) - 10 * _PIXEL_MM
    pixel = np.rint((flat - low) / _PIXEL_MM).astype(int)
    image = np.zeros(pixel.max(axis=0) + 11, dtype=np.bool_)
    image[tuple(pixel.T)] = True
    image = ndimage.binary_closing(image, iterations=1)  # voxels may be larger than pixels
    for closing in _CLOSINGS_MM:
        closed = ndimage.binary_closing(image, iterations=closing) if closing else image
        holes, count = ndimage.label(ndimage.binary_fill_holes(closed) & ~closed)
        areas = np.bincount(holes.ravel(), minlength=count + 1)[1:] * _PIXEL_MM**2
        if count and areas.max() >= _MIN_CANAL_MM2:
            return np.asarray(np.argwhere(holes == np.argmax(areas) + 1) * _PIXEL_MM + low)
    return None


def _perpendicular(vector: Vector, axis: Vector) -> Vector:
    part = vector - (vector @ axis) * axis
    return np.asarray(part / np.linalg.norm(part))
