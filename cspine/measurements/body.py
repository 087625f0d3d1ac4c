"""The body of a vertebra: its end plates and posterior wall, heights, depth and width.

The atlas has no body: of its frame, the superior axis is perpendicular to the line through both arches. The body of the
axis is the part below the dens; its frame follows the long axis of dens and body together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cspine.core.norms import MAX_BULGE
from cspine.measurements.frame import Bone, Frame, Vector
from cspine.measurements.section import STEP_MM, Section, Share, midsagittal

#: Positions along the depth of the body at which its height is measured, from the front, as TotalSegmentator's spine
#: report (2.18) has them.
HEIGHT_POSITIONS = (0.15, 0.5, 0.85)
#: Half width of the window about each position, as a share of the depth; and about the midline, millimetres.
_WINDOW, _BAND_MM = 0.05, 5.0
#: Share of the depth over which end plates are fitted, and of the height over which the walls are.
_PLATE = (0.15, 0.85)
_WALL = (0.25, 0.75)
#: The dens stands on the lower part of the axis: this share of the height of both is its body.
_AXIS_BODY = 0.42
#: Rows of its posterior wall as shares of that height: above the lip of the end plate, below the waist of the dens.
_AXIS_WALL = (0.12, 0.42)
#: Rows for the width, between end plates and the roots of the transverse processes: shares of height and depth.
_WIDTH_ROWS, _WIDTH_DEPTHS = (0.15, 0.4), (0.35, 0.65)
#: The body extends this far beyond its half width; what lies further is transverse process.
_BODY_SIDES = 1.1
_SAMPLED_HALF_WIDTH_MM = 36.0
#: Distance of slices and erosion of the height loss as TotalSegmentator's spine report judges it.
_SLICES_MM, _ERODED_MM = 5.0, 3.0
_PASSES = 4
#: Fewer lines of samples give no end plate and no wall.
_MIN_ROWS = 4
_PLAUSIBLE_DEPTH_MM, _PLAUSIBLE_HEIGHT_MM = (7.0, 60.0), (4.0, 60.0)

Line = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Body:
    """The body of a vertebra in its frame (left, posterior, superior; millimetres).

    Parameters
    ----------
    section : Section
        Midsagittal section in the final frame.
    front, wall : float
        Posterior coordinate of the anterior surface and, at ``middle``, of the posterior wall.
    wall_slope : float
        How far the posterior wall leads backwards for each millimetre upwards.
    bottom, top : tuple of float
        Lower and upper end plate in the section: height at the centre of the body and slope towards the back. The axis
        has no upper one: its ``top`` is where its body ends below the dens.
    """

    section: Section
    front: float
    wall: float
    wall_slope: float
    bottom: Line
    top: Line

    @property
    def frame(self) -> Frame:
        """Axes of the vertebra."""
        return self.section.frame

    @property
    def depth(self) -> float:
        """Distance from the anterior surface to the posterior wall."""
        return self.wall - self.front

    @property
    def centre_y(self) -> float:
        """Posterior coordinate of the centre."""
        return (self.front + self.wall) / 2

    @property
    def middle(self) -> float:
        """Superior coordinate of the centre."""
        return (self.bottom[0] + self.top[0]) / 2

    def wall_at(self, z: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """Return the posterior coordinate of the posterior wall at a height.

        Parameters
        ----------
        z : ndarray or float
            Superior coordinates in the frame, millimetres.

        Returns
        -------
        ndarray
            Posterior coordinates in the frame, millimetres, of the shape of ``z``.
        """
        return np.asarray(self.wall + self.wall_slope * (np.asarray(z) - self.middle))

    def plate_normal(self, plate: Line) -> Vector:
        """Return the normal of an end plate in the plane of symmetry, upwards, in patient coordinates.

        Parameters
        ----------
        plate : tuple of float
            An end plate, ``bottom`` or ``top``.

        Returns
        -------
        ndarray, shape (3,)
            Unit vector in LPS.
        """
        normal = self.frame.superior - plate[1] * self.frame.posterior
        return np.asarray(normal / np.linalg.norm(normal))

    def plate_centre(self, plate: Line) -> Vector:
        """Return the centre of an end plate in patient coordinates.

        Parameters
        ----------
        plate : tuple of float
            An end plate, ``bottom`` or ``top``.

        Returns
        -------
        ndarray, shape (3,)
            Millimetres in LPS.
        """
        return np.asarray(self.frame.to_lps(np.array([[0.0, self.centre_y, plate[0]]]))[0])

    def plate_edge(self, plate: Line, *, back: bool) -> Vector:
        """Return the front or back edge of an end plate in the plane of symmetry, in patient coordinates.

        Parameters
        ----------
        plate : tuple of float
            An end plate, ``bottom`` or ``top``.
        back : bool
            True for the posterior edge.

        Returns
        -------
        ndarray, shape (3,)
            Millimetres in LPS.
        """
        y = float(self.wall_at(plate[0])) if back else self.front
        return np.asarray(self.frame.to_lps(np.array([[0.0, y, plate[0] + plate[1] * (y - self.centre_y)]]))[0])

    def wall_direction(self) -> Vector:
        """Return the direction of the posterior wall upwards, in patient coordinates."""
        direction = self.frame.superior + self.wall_slope * self.frame.posterior
        return np.asarray(direction / np.linalg.norm(direction))


def find_body(bone: Bone, frame: Frame) -> Body | None:
    """Return the body of a vertebra below the axis, with its frame along the end plates.

    Parameters
    ----------
    bone : Bone
        A vertebra with two end plates.
    frame : Frame
        Its axes, as `frame.find_frame` estimates them.

    Returns
    -------
    Body or None
        None where no body of a plausible size is found.
    """
    body = None
    for _ in range(_PASSES):
        section = midsagittal(bone, frame, _BAND_MM)
        body = _outlined(section) if section is not None else None
        if body is None:
            return None
        pitch = float(np.arctan((body.top[1] + body.bottom[1]) / 2))
        if abs(pitch) < 2e-3:
            break
        frame = frame.pitched(pitch)
    return _in_midline(bone, body)


def find_axis_body(bone: Bone, frame: Frame) -> Body | None:
    """Return the body of C2, the part below the dens, with its frame along both.

    Parameters
    ----------
    bone : Bone
        The vertebra.
    frame : Frame
        Its frame; it is pitched until it follows the long axis of dens and body.

    Returns
    -------
    Body or None
        The body; None if the section shows none.
    """
    body = None
    for _ in range(_PASSES):
        section = midsagittal(bone, frame, _BAND_MM)
        if section is None:
            return None
        body = _outlined(section, part=_AXIS_BODY)
        pitch = _long_axis_pitch(section)
        if abs(pitch) < 2e-3:
            break
        frame = frame.pitched(pitch)
    return _in_midline(bone, body)


def _in_midline(bone: Bone, body: Body | None) -> Body | None:
    """Return a body with the narrow section that canal and spinous process are measured in."""
    section = midsagittal(bone, body.frame) if body is not None else None
    return replace(body, section=section) if body is not None and section is not None else None


def find_atlas_section(bone: Bone, frame: Frame) -> Section | None:
    """Return the midsagittal section of C1, with its frame along the line through both arches.

    Parameters
    ----------
    bone : Bone
        The vertebra.
    frame : Frame
        Its frame; it is pitched until it follows the line through both arches.

    Returns
    -------
    Section or None
        The section; None if it does not show both arches.
    """
    for _ in range(_PASSES):
        section = midsagittal(bone, frame)
        if section is None:
            return None
        front, back = (np.argwhere(part).mean(axis=0) for part in (section.front, section.back))
        pitch = float(np.arctan2(back[0] - front[0], back[1] - front[1]))
        if abs(pitch) < 2e-3:
            break
        frame = frame.pitched(pitch)
    return section


def _long_axis_pitch(section: Section) -> float:
    """Return the angle by which the long axis of the front part leans forward against the frame."""
    z, y = np.argwhere(section.front).astype(np.float64).T
    covariance = np.cov(np.stack([y, z]))
    axis = np.linalg.eigh(covariance)[1][:, 1]
    axis = axis if axis[1] > 0 else -axis
    return float(np.arctan2(-axis[0], axis[1]))


def _outlined(section: Section, part: float = 1.0) -> Body | None:
    """Return the body of a section, of its lower part only where the dens stands on it."""
    rows = np.flatnonzero(section.front.any(axis=1))
    cut = rows[0] + int(np.ceil(len(rows) * part))
    front = section.front.copy()
    front[cut:] = False
    z, fronts, walls = section.edges(section.front, axis=1)
    if len(z) < 8:
        return None
    inner = _within(z, z[0], z[-1], _WALL if part == 1.0 else _AXIS_WALL)
    if inner.sum() < _MIN_ROWS or not np.isfinite(walls[inner]).all():
        return None
    wall_offset, wall_slope = _posterior_wall(z[inner], walls[inner])
    anterior = float(np.median(fronts[inner]))
    body = Body(section, anterior, 0.0, wall_slope, (z[0], 0.0), (float(section.z_mm(cut - 1)), 0.0))
    body = replace(body, wall=wall_offset + wall_slope * body.middle)
    y, bottoms, tops = section.edges(front, axis=0)
    plate = _within(y, body.front, body.wall, _PLATE) & np.isfinite(bottoms)
    if plate.sum() < _MIN_ROWS:
        return None
    bottom = _plate(y[plate] - body.centre_y, bottoms[plate])
    top = _plate(y[plate] - body.centre_y, tops[plate]) if part == 1.0 else (float(section.z_mm(cut)), 0.0)
    middle = (bottom[0] + top[0]) / 2
    body = replace(body, bottom=bottom, top=top, wall=wall_offset + wall_slope * middle)
    return body if _is_plausible(body) else None


def _is_plausible(body: Body) -> bool:
    height = body.top[0] - body.bottom[0]
    return (
        _PLAUSIBLE_DEPTH_MM[0] <= body.depth <= _PLAUSIBLE_DEPTH_MM[1]
        and _PLAUSIBLE_HEIGHT_MM[0] <= height <= _PLAUSIBLE_HEIGHT_MM[1]
    )


def _within(values: NDArray[np.float64], low: float, high: float, shares: tuple[float, float]) -> NDArray[np.bool_]:
    share = (values - low) / (high - low)
    return np.asarray((share >= shares[0]) & (share <= shares[1]))


def _plate(x: NDArray[np.float64], y: NDArray[np.float64]) -> Line:
    """Return offset and slope of an end plate by least squares: thick slices make steps, which it averages."""
    slope, offset = np.polyfit(x, y, 1)
    return float(offset), float(slope)


def _posterior_wall(z: NDArray[np.float64], y: NDArray[np.float64]) -> Line:
    """Return offset and slope of a posterior wall by the medians of its slopes (Theil and Sen).

    The rows may include a spur, or the waist of the dens. SciPy has it in `scipy.stats`, which takes longer to import
    than all vertebrae to measure.
    """
    above, below = np.nonzero(z[:, None] > z)
    slope = float(np.median((y[above] - y[below]) / (z[above] - z[below])))
    return float(np.median(y - slope * z)), slope


# --- in three dimensions ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class BodyBox:
    """The share of bone about a body, sampled in its frame.

    Parameters
    ----------
    share_zyx : ndarray of float32, shape (z, y, x)
        Share of bone; 0 behind the posterior wall.
    x, y, z : ndarray
        Coordinates of the samples (left, posterior, superior), millimetres.
    right, left : float
        Left coordinate of both sides of the body.
    """

    share_zyx: Share
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    z: NDArray[np.float64]
    right: float
    left: float

    @property
    def width(self) -> float:
        """Distance of both sides."""
        return self.left - self.right

    def mask(self) -> NDArray[np.bool_]:
        """Return the body alone, without the transverse processes, shape (z, y, x)."""
        centre, reach = (self.left + self.right) / 2, self.width / 2 * _BODY_SIDES
        return np.asarray((self.share_zyx >= 0.5) & (np.abs(self.x - centre) <= reach))


def sample_body(bone: Bone, body: Body) -> BodyBox | None:
    """Return the body sampled in three dimensions with its sides; None where they are not found.

    Parameters
    ----------
    bone : Bone
        The vertebra.
    body : Body
        Its body.
    """
    low = np.array([-_SAMPLED_HALF_WIDTH_MM, body.front - 4, min(body.bottom[0], body.middle) - 6])
    high = np.array([_SAMPLED_HALF_WIDTH_MM, body.wall + 4, body.top[0] + 6])
    share = bone.sampled(body.frame.grid(low, high, STEP_MM))
    z, y, x = (low[2 - axis] + STEP_MM * np.arange(share.shape[axis]) for axis in range(3))
    share[y[None, :] > body.wall_at(z)[:, None]] = 0
    sides = _sides(share, x, _within(z, body.bottom[0], body.top[0], _WIDTH_ROWS),
                   _within(y, body.front, body.wall, _WIDTH_DEPTHS))  # fmt: skip
    return BodyBox(share, x, y, z, *sides) if sides is not None else None


def _sides(
    share: Share, x: NDArray[np.float64], rows: NDArray[np.bool_], depths: NDArray[np.bool_]
) -> tuple[float, float] | None:
    """Return the median ends, to the right and to the left, of the runs of bone from the midline."""
    lines = share[np.ix_(rows, depths)].reshape(-1, len(x))
    centre = int(np.argmin(np.abs(x)))
    right = [_run(line[centre::-1]) for line in lines if line[centre] >= 0.5]
    left = [_run(line[centre:]) for line in lines if line[centre] >= 0.5]
    if not left:
        return None
    return float(x[centre] - STEP_MM * np.median(right)), float(x[centre] + STEP_MM * np.median(left))


def _run(line: Share) -> float:
    """Return the length of the run of bone from the start of a line, in samples, interpolated at its end."""
    outside = np.flatnonzero(line < 0.5)
    if not outside.size:
        return float(len(line))
    end = int(outside[0])
    return end - 1 + float((line[end - 1] - 0.5) / (line[end - 1] - line[end]))


def heights(body: Body, box: BodyBox) -> tuple[float, float, float] | None:
    """Return the height of a body at the front, the middle and the back, about the midline.

    None where the middle is far higher than both: bodies are hollow at their end plates, so that this is not one.

    Parameters
    ----------
    body : Body
        The body.
    box : BodyBox
        Samples of the body in its frame.

    Returns
    -------
    tuple of float or None
        Anterior, middle and posterior height, millimetres.
    """
    band = np.abs(box.x) <= _BAND_MM
    profile = box.share_zyx[:, :, band].mean(axis=2).sum(axis=0) * STEP_MM
    anterior, middle, posterior = _at_positions(profile, body, box)
    return (anterior, middle, posterior) if middle <= MAX_BULGE * max(anterior, posterior) else None


def _at_positions(profile: NDArray[np.float32], body: Body, box: BodyBox) -> tuple[float, float, float]:
    anterior, middle, posterior = (
        float(profile[_within(box.y, body.front, body.wall, (at - _WINDOW, at + _WINDOW))].mean())
        for at in HEIGHT_POSITIONS
    )
    return anterior, middle, posterior


def worst_height_loss(body: Body, box: BodyBox) -> float | None:
    """Return the height loss as TotalSegmentator's spine report (2.18) judges it.

    Of sagittal slices 5 mm apart over the inner half of the width, the one whose three heights differ most counts. The
    positions lie between the ends of the depth of that slice, after 3 mm were eroded. The loss is 1 minus the ratio of
    the smallest to the largest height; from 0.2 on that report calls it a potential fracture.

    Parameters
    ----------
    body : Body
        The body.
    box : BodyBox
        Samples of the body in its frame.

    Returns
    -------
    float or None
        The loss as a share from 0 to 1; None if no slice has three heights.
    """
    centre, reach = (box.left + box.right) / 2, box.width / 4
    found = []
    for at in np.arange(centre - reach, centre + reach + 1e-6, _SLICES_MM):
        slice_zy = box.share_zyx[:, :, int(np.argmin(np.abs(box.x - at)))]
        line = np.flatnonzero(slice_zy[int(np.argmin(np.abs(box.z - body.middle)))] >= 0.5)
        if not line.size:
            continue
        first, last = box.y[line[0]] + _ERODED_MM, box.y[line[-1]] - _ERODED_MM
        profile = slice_zy.sum(axis=0) * STEP_MM
        found.append([float(np.interp(first + share * (last - first), box.y, profile)) for share in HEIGHT_POSITIONS])
    found = [three for three in found if min(three) > 0]
    if not found:
        return None
    worst = max(found, key=lambda three: max(three) - min(three))
    return 1 - min(worst) / max(worst)
