"""Measurements between two neighbouring vertebrae: angle, translation, disc space and facet joints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from skimage.measure import marching_cubes

from cspine.measurements.body import HEIGHT_POSITIONS, Body
from cspine.measurements.frame import Bone, Frame, Vector
from cspine.measurements.geometry import VertebraGeometry
from cspine.measurements.section import STEP_MM

#: The disc space is averaged over this half width about the midline, and sought this far above and below its middle.
_DISC_BAND_MM, _DISC_REACH_MM = 3.0, 14.0
#: Articular processes lie this far to the side and behind the posterior wall, millimetres.
_FACET_SIDE_MM, _FACET_BEHIND_MM = (6.0, 34.0), (-2.0, 28.0)
#: A joint space is the mean over the points of the lower process that are at most this much further than the nearest.
_FACET_DEPTH_MM = 1.0
_MAX_FACET_MM = 8.0


@dataclass(frozen=True)
class PairValues:
    """Measurements between two neighbours; None for what could not be measured.

    Parameters
    ----------
    angle_deg : float or None
        From the lower end plate of the upper vertebra to that of the lower one; lordosis is positive.
    disc_angle_deg : float or None
        Between the end plates of the disc; open to the front is positive.
    translation_mm : float or None
        How far the upper vertebra lies before the lower one, along the upper end plate of the latter.
    disc_heights_mm : tuple of float or None
        Distance of the end plates at the front, the middle and the back.
    facet_right_mm, facet_left_mm : float or None
        Space of the facet joints.
    """

    angle_deg: float | None = None
    disc_angle_deg: float | None = None
    translation_mm: float | None = None
    disc_heights_mm: tuple[float, float, float] | None = None
    facet_right_mm: float | None = None
    facet_left_mm: float | None = None


def measure_pair(upper: VertebraGeometry, lower: VertebraGeometry) -> PairValues:
    """Return the measurements between a vertebra and the next one below.

    Parameters
    ----------
    upper, lower : VertebraGeometry
        Two neighbours.
    """
    if lower.body is None:
        return PairValues()
    right, left = (facet_gap(upper.bone, lower, side) for side in (-1, 1))
    if upper.body is None:
        return PairValues(facet_right_mm=right, facet_left_mm=left)
    lower_top = lower.body.plate_normal(lower.body.top)
    upper_bottom = upper.body.plate_normal(upper.body.bottom)
    lower_bottom = lower.body.plate_normal(lower.body.bottom)
    axis = mean_left(upper, lower)
    return PairValues(
        angle_deg=lordosis_deg(upper_bottom, lower_bottom, axis),
        disc_angle_deg=lordosis_deg(upper_bottom, lower_top, axis),
        translation_mm=_translation(upper.body, lower.body),
        disc_heights_mm=_disc_heights(upper, lower, upper.body, lower.body),
        facet_right_mm=right,
        facet_left_mm=left,
    )


def mean_left(one: VertebraGeometry, other: VertebraGeometry) -> Vector:
    """Return the mean left axis of two vertebrae: the normal of the plane in which their angles lie.

    Parameters
    ----------
    one, other : VertebraGeometry
        The vertebrae.

    Returns
    -------
    ndarray, shape (3,)
        Unit vector in LPS.
    """
    axis = one.frame.left + other.frame.left
    return np.asarray(axis / np.linalg.norm(axis))


def lordosis_deg(upper: Vector, lower: Vector, left: Vector) -> float:
    """Return the angle from one upward direction to another in the plane perpendicular to left, degrees.

    It is positive where the lower one leans further forward, as in lordosis.

    Parameters
    ----------
    upper, lower : ndarray, shape (3,)
        Upward directions of the upper and the lower vertebra in LPS.
    left : ndarray, shape (3,)
        Unit vector to the left, the normal of the plane.
    """
    upper, lower = (vector - left * (vector @ left) for vector in (upper, lower))
    return float(np.degrees(np.arctan2(left @ np.cross(upper, lower), upper @ lower)))


def _translation(upper: Body, lower: Body) -> float:
    backward = lower.plate_edge(lower.top, back=True) - lower.plate_edge(lower.top, back=False)
    backward = backward / np.linalg.norm(backward)
    step = upper.plate_edge(upper.bottom, back=True) - lower.plate_edge(lower.top, back=True)
    return float(-step @ backward)


def _disc_heights(
    upper: VertebraGeometry, lower: VertebraGeometry, above: Body, below: Body
) -> tuple[float, float, float] | None:
    frame = _disc_frame(upper, lower, above, below)
    front = max(_posterior(frame, body.plate_edge(plate, back=False)) for body, plate in _plates(above, below))
    back = min(_posterior(frame, body.plate_edge(plate, back=True)) for body, plate in _plates(above, below))
    if back - front < 4:
        return None
    low = np.array([-_DISC_BAND_MM, front, -_DISC_REACH_MM])
    high = np.array([_DISC_BAND_MM, back, _DISC_REACH_MM])
    grid = frame.grid(low, high, STEP_MM)
    profile = _gaps(upper.bone.sampled(grid).mean(axis=2), lower.bone.sampled(grid).mean(axis=2))
    at = (np.arange(len(profile)) * STEP_MM) / (back - front)
    windows = [profile[(np.abs(at - share) <= 0.05) & np.isfinite(profile)] for share in HEIGHT_POSITIONS]
    if not all(window.size for window in windows):
        return None
    anterior, middle, posterior = (float(window.mean()) for window in windows)
    return anterior, middle, posterior


def _plates(above: Body, below: Body) -> tuple[tuple[Body, tuple[float, float]], ...]:
    return (above, above.bottom), (below, below.top)


def _posterior(frame: Frame, point_lps: Vector) -> float:
    return float(frame.from_lps(point_lps[None])[0, 1])


def _disc_frame(upper: VertebraGeometry, lower: VertebraGeometry, above: Body, below: Body) -> Frame:
    """Return the frame in the middle of a disc: superior is the mean normal of its end plates."""
    left = mean_left(upper, lower)
    superior = above.plate_normal(above.bottom) + below.plate_normal(below.top)
    superior = superior - left * (superior @ left)
    superior /= np.linalg.norm(superior)
    origin = (above.plate_centre(above.bottom) + below.plate_centre(below.top)) / 2
    return Frame(np.asarray(origin), left, np.cross(superior, left), superior)


def _gaps(above_zy: NDArray[np.float32], below_zy: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the distance between the bone above and the bone below in each column; NaN where one is missing."""
    middle = above_zy.shape[0] // 2
    heights = np.full(above_zy.shape[1], np.nan)
    for column in range(above_zy.shape[1]):
        over = _first(above_zy[:, column], middle)
        under = _first(below_zy[::-1, column], above_zy.shape[0] - 1 - middle)
        if over is not None and under is not None:
            heights[column] = max((over + under - (above_zy.shape[0] - 1)) * STEP_MM, 0.0)
    return heights


def _first(line: NDArray[np.float32], middle: int) -> float | None:
    """Return where the bone nearest to the middle of a line begins, interpolated, looking on towards the end."""
    inside = np.flatnonzero(line >= 0.5)
    if not inside.size:
        return None
    runs = np.split(inside, np.flatnonzero(np.diff(inside) > 1) + 1)
    start = int(next((run for run in runs if run[-1] >= middle), runs[-1])[0])
    if start == 0:
        return 0.0
    return start - float((line[start] - 0.5) / (line[start] - line[start - 1]))


def facet_gap(upper: Bone, lower: VertebraGeometry, side: int) -> float | None:
    """Return the space of the facet joint on one side.

    It is the mean distance to the upper vertebra over the part of the lower one's superior articular process that lies
    nearest to it.

    Parameters
    ----------
    upper : Bone
        The vertebra above.
    lower : VertebraGeometry
        The vertebra below.
    side : int
        -1 for the right, 1 for the left.
    """
    if lower.body is None:
        return None
    near, far = sorted(side * value for value in _FACET_SIDE_MM)
    wall = lower.body.wall
    top, reach = lower.body.top[0], lower.body.depth
    low = np.array([near, wall + _FACET_BEHIND_MM[0], lower.body.bottom[0]])
    high = np.array([far, wall + _FACET_BEHIND_MM[1], top + reach])
    grid = lower.frame.grid(low, high, STEP_MM * 1.5)
    surfaces = [_surface(bone.sampled(grid)) for bone in (upper, lower.bone)]
    if surfaces[0] is None or surfaces[1] is None:
        return None
    distances, _ = KDTree(surfaces[0]).query(surfaces[1])
    nearest = float(np.quantile(distances, 0.01))
    if nearest > _MAX_FACET_MM / STEP_MM / 1.5:
        return None
    depth = _FACET_DEPTH_MM / (STEP_MM * 1.5)
    return float(distances[distances <= nearest + depth].mean()) * STEP_MM * 1.5


def _surface(share: NDArray[np.float32]) -> NDArray[np.float64] | None:
    """Return the points of the surface of a bone, in samples; None where there is none."""
    if not (share >= 0.5).any() or not (share < 0.5).any():
        return None
    vertices, *_ = marching_cubes(share, 0.5)  # type: ignore[no-untyped-call]
    return np.asarray(vertices, dtype=np.float64)
