"""The vertebral canal at each level, and the spinous process behind it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cspine.measurements.body import Body
from cspine.measurements.frame import Bone, Frame, extent_in
from cspine.measurements.section import STEP_MM, Section

#: Half thickness of the slab in which the ring must be closed, millimetres, tried one after the other.
_SLABS_MM = (0.0, 1.0, 2.0, 3.0)
#: A spinous process is sought this far to both sides of the midline: the ends of a bifid one lie apart.
_SPINOUS_HALF_WIDTH_MM = 8.0
_CANAL_HALF_WIDTH_MM = 24.0
#: How far before the posterior wall the plane of the area begins; and before the dens, to have the anterior arch in it.
_AHEAD_MM, _RING_MM = 8.0, 32.0
#: The diameter ends at the mean of the surface within this distance of its nearest point, millimetres.
_SURFACE_MM = 1.0
_MIN_DIAMETER_MM, _MAX_DIAMETER_MM = 4.0, 40.0
#: Share of the height of the anterior arch of C1, about its middle, in which the distance to the dens is sought.
_ARCH_MIDDLE = (0.2, 0.8)

Point = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Canal:
    """The canal at one level.

    Parameters
    ----------
    diameter_mm : float
        Sagittal diameter: from the middle of the posterior wall (of C1: of the dens) to the nearest point of the arch.
    area_mm2 : float or None
        Area of the canal in the plane of that diameter; None where the ring is not closed.
    front, back : ndarray, shape (2,)
        Both ends of the diameter, posterior and superior in the frame of the vertebra.
    """

    diameter_mm: float
    area_mm2: float | None
    front: Point
    back: Point


def find_canal(bone: Bone, body: Body) -> Canal | None:
    """Return the canal behind a body; None where no arch of plausible distance lies behind it.

    Parameters
    ----------
    bone : Bone
        The vertebra.
    body : Body
        Its body.
    """
    return _canal(bone, body.section, np.array([body.wall, body.middle]), ahead_mm=_AHEAD_MM)


def find_atlas_canal(bone: Bone, section: Section, axis: Bone) -> Canal | None:
    """Return the canal within C1, behind the dens.

    Parameters
    ----------
    bone, section : Bone, Section
        C1 and its midsagittal section.
    axis : Bone
        C2.
    """
    arch = section.outline(section.back)
    dens = _dens_back(section, axis, float(arch[:, 1].mean()))
    return _canal(bone, section, dens, ahead_mm=None) if dens is not None else None


def _dens_back(section: Section, axis: Bone, height: float) -> Point | None:
    """Return the point at the back of the dens at a height in the section of C1."""
    line = _line_of(axis, section.frame, section, height)
    inside = np.flatnonzero(line >= 0.5)
    y = section.y_mm(inside.astype(np.float64))
    before = inside[y < section.outline(section.back)[:, 0].min()]
    if not before.size:
        return None
    last = int(before[-1])
    if line[last + 1] >= 0.5:  # dens and posterior arch are one
        return None
    beyond = (line[last] - 0.5) / (line[last] - line[last + 1])
    return np.array([float(section.y_mm(last + float(beyond))), height])


def _line_of(bone: Bone, frame: Frame, section: Section, height: float) -> NDArray[np.float32]:
    """Return the share of another vertebra along the posterior axis at a height of a section, about the midline."""
    count = section.share_zy.shape[1]
    low = np.array([-1.0, section.low[0], height])
    high = np.array([1.0, section.low[0] + (count - 1) * STEP_MM, height])
    line: NDArray[np.float32] = bone.sampled(frame.grid(low, high, STEP_MM)).mean(axis=(0, 2))
    return np.append(line, np.float32(0))


def _canal(bone: Bone, section: Section, front: Point, ahead_mm: float | None) -> Canal | None:
    """Return the canal behind a point; where nothing is to count ahead of it, ``ahead_mm`` is None."""
    arch = section.outline(section.back)
    if not len(arch):
        return None
    nearest = arch[int(np.argmin(np.linalg.norm(arch - front, axis=1)))]
    # The single nearest point is a step of the grid; the surface about it is what the diameter ends at.
    about = arch[np.linalg.norm(arch - nearest, axis=1) <= _SURFACE_MM]
    direction = (nearest - front) / max(float(np.linalg.norm(nearest - front)), 1e-6)
    diameter = float(((about - front) @ direction).mean())
    back = front + diameter * direction
    if not _MIN_DIAMETER_MM <= diameter <= _MAX_DIAMETER_MM:
        return None
    return Canal(diameter, _area(bone, section.frame, (front, back), ahead_mm), front, back)


def _area(bone: Bone, frame: Frame, ends: tuple[Point, Point], ahead_mm: float | None) -> float | None:
    """Return the area of the opening in the plane through both ends and along the left axis."""
    front, back = ends
    reach = float(np.linalg.norm(back - front))
    direction = (back - front) / reach
    posterior = direction[0] * frame.posterior + direction[1] * frame.superior
    origin = frame.to_lps(np.array([[0.0, *front]]))[0]
    plane = Frame(origin, frame.left, posterior, np.cross(frame.left, posterior))
    ahead = _RING_MM if ahead_mm is None else ahead_mm
    for slab in _SLABS_MM:
        low = np.array([-_CANAL_HALF_WIDTH_MM, -ahead, -slab])
        high = np.array([_CANAL_HALF_WIDTH_MM, reach + 10.0, slab])
        share = bone.sampled(plane.grid(low, high, STEP_MM)).max(axis=0)
        first = round(ahead / STEP_MM) if ahead_mm is None else 0
        area = _opening(share, round((reach / 2 + ahead) / STEP_MM), first)
        if area is not None:
            return area
    return None


def _opening(share_yx: NDArray[np.float32], row: int, first: int) -> float | None:
    """Return the area without bone about the middle of a row, up to the level 0.5 of the ring.

    None where the ring is open. Rows before ``first`` close the ring, but do not count.
    """
    bone = share_yx >= 0.5
    openings, _ = ndimage.label(ndimage.binary_fill_holes(bone) & ~bone)
    number = int(openings[row, share_yx.shape[1] // 2])
    if not number:
        return None
    opening = openings == number
    # Across a straight edge the share falls from 1 to 0: what the rim lacks of 1 is what the opening has of it.
    counted = ndimage.binary_dilation(opening)
    counted[:first] = False
    return float((1 - share_yx[counted]).sum()) * STEP_MM**2


def spinous_length(bone: Bone, section: Section, canal: Canal) -> float | None:
    """Return the length of the spinous process: from the canal, in the midline, to its furthest point.

    Parameters
    ----------
    bone, section : Bone, Section
        The vertebra and its midsagittal section.
    canal : Canal
        Its canal; the length starts at the end of its diameter.
    """
    low, high = extent_in(section.frame, bone)
    low[0], high[0] = -_SPINOUS_HALF_WIDTH_MM, _SPINOUS_HALF_WIDTH_MM
    low[1], low[2] = section.low
    share = bone.sampled(section.frame.grid(low, high, STEP_MM)).max(axis=2)
    z, y = np.nonzero(share >= 0.5)
    points = np.stack([section.y_mm(y.astype(np.float64)), section.z_mm(z.astype(np.float64))], axis=1)
    behind = points[points[:, 0] > canal.back[0]]
    return float(np.linalg.norm(behind - canal.back, axis=1).max()) if len(behind) else None


def atlantodental_interval(section: Section, axis: Bone) -> float | None:
    """Return the distance of the anterior arch of C1 and the dens in the midline, the smallest over the arch.

    Parameters
    ----------
    section : Section
        Midsagittal section of C1.
    axis : Bone
        C2.
    """
    heights, _, backs = section.edges(section.front, axis=1)
    if not len(heights):
        return None
    share = (heights - heights[0]) / max(heights[-1] - heights[0], 1e-6)
    gaps = []
    for height, back in zip(heights, backs, strict=True):
        line = _line_of(axis, section.frame, section, float(height))
        inside = np.flatnonzero(line >= 0.5)
        if inside.size and np.isfinite(back):
            first = int(inside[0])
            before = float((line[first] - 0.5) / (line[first] - line[first - 1])) if first else 0.0
            gaps.append(float(section.y_mm(first - before)) - back)
    middle = [gap for gap, at in zip(gaps, share, strict=False) if _ARCH_MIDDLE[0] <= at <= _ARCH_MIDDLE[1]]
    return max(float(np.min(middle)), 0.0) if middle else None
