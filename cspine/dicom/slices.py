"""From headers to an ordered regular stack of slices, or a refusal that gives its numbers.

The order comes from positions alone. What is repaired is said in a note; nothing is guessed.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cspine.core.errors import (
    DuplicatePositionError,
    ExcessiveTiltError,
    GeometryError,
    MissingAttributeError,
    MissingSliceError,
    MixedAcquisitionsError,
    MixedMatrixError,
    NonOrthonormalError,
    ScoutAmongSlicesError,
    SingleSliceError,
    VariableSpacingError,
)
from cspine.core.geometry import Grid, make_affine
from cspine.dicom.headers import PHASE_MARKS, TIME_MARKS, Plane

MIN_SLICES = 3
#: Largest lean of a stack that a gantry can make, degrees.
MAX_TILT_DEG = 35.0
#: Slices whose cosines differ by more have another orientation.
ORIENTATION_TOLERANCE = 1e-3
#: Deviation of the cosines from unit length and right angles: rounding below the first, damage above the second.
COSINE_ROUNDING = 1e-4
COSINE_TOLERANCE = 5e-3
#: Relative difference of pixel spacing that is rounding.
PIXEL_SPACING_TOLERANCE = 1e-3
#: Distances between slices may differ by the larger of these: millimetres, and parts of the distance.
STEP_ROUNDING_MM = 0.02
STEP_TOLERANCE = 0.02
#: In-plane shifts that are rounding: of one slice off the line, and of the last slice against the first.
SHIFT_TOLERANCE_MM = 0.1
#: Lean along the rows beyond which no rounding explains it, degrees.
MAX_ROW_SHEAR_DEG = 0.5

# What may change from one range of slices to the next, but not to and fro.
_ALTERNATION_MARKS = PHASE_MARKS[:5]
_TAGS = {"position_lps": "(0020,0032) Image Position (Patient)", "cosines": "(0020,0037) Image Orientation (Patient)"}
_TAGS["spacing_yx"] = "(0028,0030) Pixel Spacing"

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Arrangement:
    """Slices in order, and where they lie.

    Parameters
    ----------
    planes : tuple of Plane
        In the order of the grid's z axis.
    grid : Grid
        Regular and right-handed; leans where the gantry was tilted.
    notes : tuple of str
        Repairs, in words that the summary repeats.
    """

    planes: tuple[Plane, ...]
    grid: Grid
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class _Stack:
    """Planes sorted along the normal: ``along_mm`` is the place there, ``within_mm`` (n, 2) the place in the plane."""

    planes: list[Plane]
    axes: Vector
    along_mm: Vector
    within_mm: Vector

    def part(self, start: int, stop: int) -> _Stack:
        chosen = slice(start, stop)
        return _Stack(self.planes[chosen], self.axes, self.along_mm[chosen], self.within_mm[chosen])


def arrange(planes: Sequence[Plane], *, repair_gaps: bool = False) -> Arrangement:
    """Order the slices of a series by position and place them on a regular grid.

    Parameters
    ----------
    planes : sequence of Plane
        All slices of a series, in any order.
    repair_gaps : bool
        Keep the longest regular run where slices are missing or the distance between them changes.

    Returns
    -------
    Arrangement

    Raises
    ------
    MissingAttributeError
        If a slice has no position, orientation or pixel spacing.
    ScoutAmongSlicesError, SingleSliceError, MixedMatrixError, NonOrthonormalError
        If the slices are not of one kind.
    MixedAcquisitionsError, DuplicatePositionError
        If several slices claim one place, or two acquisitions alternate.
    MissingSliceError, VariableSpacingError
        If the distances differ and ``repair_gaps`` is off, or no run of three slices is regular.
    ExcessiveTiltError, GeometryError
        If the stack leans too far, or slices shift in their plane.
    """
    _require_attributes(planes)
    cosines = _one_orientation(planes)
    if len(planes) < MIN_SLICES:
        raise SingleSliceError(f"the series has {len(planes)} slice(s), at least {MIN_SLICES} are needed")
    spacing_yx = _one_matrix(planes)
    axes, notes = _orthonormal(cosines)
    stack = _sort(planes, axes)
    _refuse_mixtures(stack)
    stack, more = _regular(stack, repair_gaps)
    grid, tilt = _place(stack, spacing_yx)
    return Arrangement(tuple(stack.planes), grid, (*notes, *more, *tilt))


# --- slices of one kind -----------------------------------------------------------------------------------------------


def _require_attributes(planes: Sequence[Plane]) -> None:
    for field, name in _TAGS.items():
        lacking = sum(getattr(plane, field) is None for plane in planes)
        if lacking or not planes:
            raise MissingAttributeError(f"{name} is absent or malformed in {lacking} of {len(planes)} slices")
    flat = sum(min(plane.spacing_yx or (0.0,)) <= 0 for plane in planes)
    if flat:
        raise MissingAttributeError(f"{_TAGS['spacing_yx']} is not positive in {flat} of {len(planes)} slices")


def _one_orientation(planes: Sequence[Plane]) -> Vector:
    """Return the mean cosines, shape (2, 3), of slices that all point the same way."""
    localizers = sum(plane.is_localizer for plane in planes)
    if localizers:
        raise ScoutAmongSlicesError(f"{localizers} of {len(planes)} slices are localizers by their Image Type")
    counts = Counter(plane.cosines for plane in planes)
    common = min(counts, key=lambda c: (-counts[c], c or ()))
    cosines = np.array([plane.cosines for plane in planes], dtype=np.float64)
    away = np.abs(cosines - np.array(common)).max(axis=1) > ORIENTATION_TOLERANCE
    if away.any():
        raise ScoutAmongSlicesError(f"{int(away.sum())} of {len(planes)} slices have another orientation than the rest")
    return np.asarray(cosines.mean(axis=0).reshape(2, 3))


def _one_matrix(planes: Sequence[Plane]) -> tuple[float, float]:
    sizes = Counter((plane.rows, plane.columns) for plane in planes)
    if len(sizes) > 1:
        found = ", ".join(f"{n} of {rows} x {columns}" for (rows, columns), n in sorted(sizes.items()))
        raise MixedMatrixError(f"matrix sizes (rows x columns) differ: {found}")
    spacing = np.array([plane.spacing_yx for plane in planes], dtype=np.float64)
    low, high = spacing.min(axis=0), spacing.max(axis=0)
    if ((high - low) > PIXEL_SPACING_TOLERANCE * low).any():
        raise MixedMatrixError(
            f"pixel spacing differs: rows {low[0]:.4f} to {high[0]:.4f} mm, columns {low[1]:.4f} to {high[1]:.4f} mm"
        )
    row_mm, column_mm = np.median(spacing, axis=0)
    return float(row_mm), float(column_mm)


def _orthonormal(cosines: Vector) -> tuple[Vector, tuple[str, ...]]:
    """Return unit axes x, y, z as columns, the nearest to the cosines, and a note where they had to be moved."""
    product = cosines @ cosines.T
    deviation = float(np.abs(product - np.eye(2)).max())
    if deviation > COSINE_TOLERANCE:
        raise NonOrthonormalError(
            f"Image Orientation (Patient) deviates from perpendicular unit vectors by {deviation:.4f} "
            f"(at most {COSINE_TOLERANCE} is repaired)"
        )
    left, _, right = np.linalg.svd(cosines, full_matrices=False)
    row, column = left @ right
    axes = np.stack([row, column, np.cross(row, column)], axis=1)
    if deviation <= COSINE_ROUNDING:
        return axes, ()
    return axes, (f"Image Orientation (Patient) made orthonormal: it deviated by {deviation:.4f}",)


def _sort(planes: Sequence[Plane], axes: Vector) -> _Stack:
    positions = np.array([plane.position_lps for plane in planes], dtype=np.float64) @ axes
    uids = [(p.source.sop_instance_uid, p.source.frame or 0, str(p.source.path)) for p in planes]
    order = sorted(range(len(planes)), key=lambda i: (positions[i, 2], uids[i]))
    return _Stack([planes[i] for i in order], axes, positions[order, 2], positions[order, :2])


# --- several acquisitions in one series -------------------------------------------------------------------------------


def _refuse_mixtures(stack: _Stack) -> None:
    frames = Counter(plane.frame_of_reference for plane in stack.planes)
    if len(frames) > 1:
        raise MixedAcquisitionsError(f"{len(frames)} frames of reference share the series")
    gaps = np.diff(stack.along_mm)
    apart = gaps[gaps > STEP_ROUNDING_MM]
    near = STEP_ROUNDING_MM + (STEP_TOLERANCE * float(np.median(apart)) if len(apart) else 0.0)
    place = np.concatenate([[0], np.cumsum(gaps > near)])
    shared = Counter(place.tolist())
    most = max(shared.values())
    if most > 1:
        _refuse_shared_places(stack, place, most)
    for keyword in _ALTERNATION_MARKS:
        values = [_mark(plane, keyword) for plane in stack.planes]
        runs = 1 + sum(a != b for a, b in pairwise(values))
        if runs > len(set(values)):
            counts = " and ".join(str(n) for n in sorted(Counter(values).values(), reverse=True))
            raise MixedAcquisitionsError(
                f"acquisitions alternate along the stack: {keyword} has {len(set(values))} values over {counts} slices "
                f"and changes {runs - 1} times"
            )


def _mark(plane: Plane, keyword: str) -> str:
    return dict(plane.marks).get(keyword, "")


def _refuse_shared_places(stack: _Stack, place: NDArray[np.int64], most: int) -> None:
    """Say whether slices that share a place are phases of the same anatomy or plain duplicates."""
    members: dict[int, list[Plane]] = defaultdict(list)
    for index, plane in zip(place.tolist(), stack.planes, strict=True):
        members[index].append(plane)
    crowded = {index: planes for index, planes in members.items() if len(planes) > 1}
    for keyword in (*PHASE_MARKS, *TIME_MARKS):
        tells_apart = all(
            len({dict(p.marks).get(keyword, "") for p in group}) == len(group) for group in crowded.values()
        )
        values = Counter(dict(p.marks).get(keyword, "") for p in stack.planes)
        # Times may differ from slice to slice of one acquisition: they tell phases apart where every place is crowded.
        if tells_apart and (len(values) == most or len(crowded) == len(members)):
            raise MixedAcquisitionsError(
                f"{most} acquisitions or phases share the series: they differ in {keyword}, and {len(crowded)} of "
                f"{len(members)} positions are taken more than once"
            )
    first = min(crowded)
    where = stack.along_mm[int(np.argmax(place == first))]
    raise DuplicatePositionError(
        f"{len(crowded[first])} slices lie at {where:.2f} mm along the normal, and {len(crowded)} of {len(members)} "
        "positions are taken more than once"
    )


# --- distances between slices -----------------------------------------------------------------------------------------


def _regular(stack: _Stack, repair_gaps: bool) -> tuple[_Stack, tuple[str, ...]]:
    """Return the stack, or its longest regular run with a note, once its distances are one."""
    gaps = np.diff(stack.along_mm)
    if _is_regular(stack.along_mm):
        return stack, ()
    runs = _runs(stack.along_mm)
    error = _explain(stack.along_mm, gaps, runs)
    start, stop = max(runs, key=lambda run: (stack.along_mm[run[1] - 1] - stack.along_mm[run[0]], -run[0]))
    if not repair_gaps or stop - start < MIN_SLICES:
        raise error
    kept = stack.part(start, stop)
    note = (
        f"{error.message}; kept the longest regular run, {stop - start} of {len(stack.planes)} slices from "
        f"{kept.along_mm[0]:.2f} to {kept.along_mm[-1]:.2f} mm along the normal"
    )
    return kept, (note,)


def _tolerance_mm(step_mm: float) -> float:
    return max(STEP_ROUNDING_MM, STEP_TOLERANCE * step_mm)


def _is_regular(along_mm: Vector) -> bool:
    step = (along_mm[-1] - along_mm[0]) / (len(along_mm) - 1)
    even = along_mm[0] + step * np.arange(len(along_mm))
    tolerance = _tolerance_mm(step)
    return bool(np.abs(np.diff(along_mm) - step).max() <= tolerance and np.abs(along_mm - even).max() <= 2 * tolerance)


def _runs(along_mm: Vector) -> list[tuple[int, int]]:
    """Split into runs (start, stop), each regular and as long as it gets; neighbouring runs share a slice."""
    runs, start, last = [], 0, len(along_mm) - 1
    while start < last:
        stop = start + 2
        while stop <= last and _is_regular(along_mm[start : stop + 1]):
            stop += 1
        runs.append((start, stop))
        start = stop - 1
    return runs


def _explain(along_mm: Vector, gaps: Vector, runs: list[tuple[int, int]]) -> GeometryError:
    """Return the error that names how the distances differ."""
    long = [(start, stop) for start, stop in runs if stop - start >= MIN_SLICES]
    steps = [float((along_mm[stop - 1] - along_mm[start]) / (stop - start - 1)) for start, stop in long]
    if (
        len(long) == 2
        and (long[0][0], long[1][1]) == (0, len(along_mm))
        and abs(steps[0] - steps[1]) > _tolerance_mm(min(steps))
    ):
        where = along_mm[long[1][0]]
        return VariableSpacingError(
            f"two scan ranges: {long[0][1] - long[0][0]} slices every {steps[0]:.3f} mm, then "
            f"{long[1][1] - long[1][0]} every {steps[1]:.3f} mm from {where:.2f} mm along the normal"
        )
    step = min(steps, default=float(gaps.min()))
    if gaps.min() < step - _tolerance_mm(step):
        step = float(gaps.min())
    multiples = np.rint(gaps / step)
    tolerance = _tolerance_mm(step)
    off_grid = np.abs(gaps - multiples * step) > tolerance * np.maximum(multiples, 1)
    if (multiples >= 1).all() and not off_grid.any():
        holes = np.flatnonzero(multiples > 1)
        widest = holes[int(np.argmax(gaps[holes]))]
        missing = int((multiples[holes] - 1).sum())
        start_mm, stop_mm = along_mm[widest], along_mm[widest + 1]
        return MissingSliceError(
            f"{missing} slice(s) missing in {len(holes)} gap(s) of a stack with one every {step:.3f} mm; the widest "
            f"gap is {gaps[widest]:.2f} mm, from {start_mm:.2f} to {stop_mm:.2f} mm along the normal"
        )
    odd = int(np.argmax(np.abs(gaps - step)))
    return VariableSpacingError(
        f"the distance between slices runs from {gaps.min():.3f} to {gaps.max():.3f} mm (usual {step:.3f} mm); the odd "
        f"one is {gaps[odd]:.3f} mm at {along_mm[odd]:.2f} mm along the normal"
    )


# --- lean -------------------------------------------------------------------------------------------------------------


def _place(stack: _Stack, spacing_yx: tuple[float, float]) -> tuple[Grid, tuple[str, ...]]:
    """Return the grid of a regular stack, leaning where it must, with a note of the tilt."""
    count = len(stack.planes)
    step = float(stack.along_mm[-1] - stack.along_mm[0]) / (count - 1)
    drift = (stack.within_mm[-1] - stack.within_mm[0]) / (count - 1)
    line = stack.within_mm[0] + drift * np.arange(count)[:, None]
    off = np.abs(stack.within_mm - line).max(axis=1)
    if off.max() > SHIFT_TOLERANCE_MM:
        worst = int(np.argmax(off))
        raise GeometryError(
            f"slices shift within their plane: one is {off[worst]:.2f} mm off the line of the others, at "
            f"{stack.along_mm[worst]:.2f} mm along the normal",
            advice="Two reconstructions or a moved table: send each range as a series of its own.",
        )
    lean = np.where(np.abs(drift * (count - 1)) > SHIFT_TOLERANCE_MM, drift, 0.0)
    row_deg, column_deg = (math.degrees(math.atan2(float(v), step)) for v in lean)
    if abs(row_deg) > MAX_ROW_SHEAR_DEG:
        raise ExcessiveTiltError(f"the stack leans by {row_deg:.1f} degrees along its rows, which no gantry does")
    if abs(column_deg) > MAX_TILT_DEG:
        raise ExcessiveTiltError(f"the stack leans by {column_deg:.1f} degrees (at most {MAX_TILT_DEG:.0f})")
    origin = stack.axes @ np.array([*stack.within_mm[0], stack.along_mm[0]])
    affine = make_affine(stack.axes, (spacing_yx[1], spacing_yx[0], step), origin)
    affine[:3, 2] += stack.axes[:, :2] @ lean
    grid = Grid((count, stack.planes[0].rows, stack.planes[0].columns), affine)
    if not lean.any():
        return grid, ()
    angle = math.degrees(math.atan2(float(np.hypot(*lean)), step))
    return grid, (f"gantry tilt of {angle:.1f} degrees: slices resampled to an orthogonal grid",)
