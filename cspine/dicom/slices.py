"""Arrange the slices of a series as a regular stack, or raise an error with the numbers.

The order follows from positions alone. Repairs are reported in notes; nothing is guessed.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cspine.core.ct_limits import (
    MAX_EXTENT_MM,
    MAX_MATRIX,
    MAX_POSITION_MM,
    MIN_SLICES,
    PIXEL_SPACING_MM,
    SLICE_DISTANCE_MM,
)
from cspine.core.errors import (
    DuplicatePositionError,
    ExcessiveTiltError,
    GeometryError,
    ImpossibleGeometryError,
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
from cspine.dicom.tolerance import (
    COARSE_ROUNDING_MM,
    COSINE_ROUNDING,
    COSINE_TOLERANCE,
    ORIENTATION_TOLERANCE,
    PIXEL_SPACING_TOLERANCE,
    SHIFT_TOLERANCE_MM,
    STEP_ROUNDING_MM,
    STEP_TOLERANCE,
)
from cspine.io.tables import counted

#: Largest shear of a stack that a tilted gantry can cause, degrees.
MAX_TILT_DEG = 35.0
#: Largest shear along the rows that rounding can explain, degrees.
MAX_ROW_SHEAR_DEG = 0.5

# Attributes that may change from one range of slices to the next, but not alternate.
_ALTERNATION_MARKS = PHASE_MARKS[:5]
# Attributes that may also return to a value in a later range, but not change at nearly every slice.
_RECONSTRUCTION_MARKS = ("ConvolutionKernel", "KVP", "ImageType")
#: More changes than those of the ranges A, B, A.
_MIN_CHANGES = 3
# Values of Image Type that follow from the compression of a slice alone.
_COMPRESSION = re.compile(r"(JP2K|LOSS).*", re.IGNORECASE)
_TAGS = {"position_lps": "(0020,0032) Image Position (Patient)", "cosines": "(0020,0037) Image Orientation (Patient)"}
_TAGS["spacing_yx"] = "(0028,0030) Pixel Spacing"

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Arrangement:
    """The slices in order, with their grid.

    Parameters
    ----------
    planes : tuple of Plane
        Slices in the order of the z axis of the grid.
    grid : Grid
        Regular and right-handed; sheared if the gantry was tilted.
    notes : tuple of str
        Repairs, in sentences that the summary repeats.
    """

    planes: tuple[Plane, ...]
    grid: Grid
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class _Stack:
    """Planes sorted along the normal, with their positions along it (n,) and within the plane (n, 2)."""

    planes: list[Plane]
    axes: Vector
    along_mm: Vector
    within_mm: Vector

    def subset(self, start: int, stop: int) -> _Stack:
        chosen = slice(start, stop)
        return _Stack(self.planes[chosen], self.axes, self.along_mm[chosen], self.within_mm[chosen])


def arrange(planes: Sequence[Plane], *, repair_gaps: bool = False) -> Arrangement:
    """Return the slices of a series ordered by position, with their regular grid.

    Parameters
    ----------
    planes : sequence of Plane
        All slices of a series, in any order.
    repair_gaps : bool
        Keep the longest regular run if slices are missing or the distance between them changes.

    Returns
    -------
    Arrangement

    Raises
    ------
    MissingAttributeError
        If a slice has no valid position, orientation or pixel spacing.
    ScoutAmongSlicesError, SingleSliceError, MixedMatrixError, NonOrthonormalError
        If the slices are not of one kind.
    MixedAcquisitionsError, DuplicatePositionError
        If several slices have one position, or two acquisitions alternate.
    MissingSliceError, VariableSpacingError
        If the distances differ and ``repair_gaps`` is off, or no run of three slices is regular.
    ImpossibleGeometryError
        If a spacing, a position or an extent is outside what a CT scanner produces.
    ExcessiveTiltError, GeometryError
        If the stack is sheared too much, or slices are shifted within their plane.
    """
    _require_attributes(planes)
    cosines = _one_orientation(planes)
    if len(planes) < MIN_SLICES:
        raise SingleSliceError(f"the series has {counted(len(planes), 'slice')}; at least {MIN_SLICES} are needed")
    spacing_yx = _one_matrix(planes)
    _require_possible(planes, spacing_yx)
    axes, notes = _orthonormal(cosines)
    stack = _sort(planes, axes)
    _refuse_mixtures(stack)
    stack, more = _regular(stack, repair_gaps)
    grid, tilt = _grid(stack, spacing_yx)
    return Arrangement(tuple(stack.planes), grid, (*notes, *more, *tilt))


# --- slices of one kind -----------------------------------------------------------------------------------------------


def _require_attributes(planes: Sequence[Plane]) -> None:
    for field, name in _TAGS.items():
        lacking = sum(getattr(plane, field) is None for plane in planes)
        if lacking or not planes:
            raise MissingAttributeError(f"{name} is missing or malformed in {lacking} of {len(planes)} slices")
    invalid = sum(min(plane.spacing_yx or (0.0,)) <= 0 for plane in planes)
    if invalid:
        raise MissingAttributeError(f"{_TAGS['spacing_yx']} is not positive in {invalid} of {len(planes)} slices")


def _one_orientation(planes: Sequence[Plane]) -> Vector:
    """Return the mean cosines, shape (2, 3), of slices with a common orientation."""
    localizers = sum(plane.is_localizer for plane in planes)
    if localizers:
        raise ScoutAmongSlicesError(f"{localizers} of {len(planes)} slices are localizers according to Image Type")
    counts = Counter(plane.cosines for plane in planes)
    common = min(counts, key=lambda c: (-counts[c], c or ()))
    cosines = np.array([plane.cosines for plane in planes], dtype=np.float64)
    differs = np.abs(cosines - np.array(common)).max(axis=1) > ORIENTATION_TOLERANCE
    if differs.any():
        raise ScoutAmongSlicesError(f"{int(differs.sum())} of {len(planes)} slices differ in orientation from the rest")
    return np.asarray(cosines.mean(axis=0).reshape(2, 3))


def _one_matrix(planes: Sequence[Plane]) -> tuple[float, float]:
    sizes = Counter((plane.rows, plane.columns) for plane in planes)
    if len(sizes) > 1:
        counts = ", ".join(f"{n} with {rows} x {columns}" for (rows, columns), n in sorted(sizes.items()))
        raise MixedMatrixError(f"matrix sizes (rows x columns) differ: {counts}")
    spacing = np.array([plane.spacing_yx for plane in planes], dtype=np.float64)
    low, high = spacing.min(axis=0), spacing.max(axis=0)
    if ((high - low) > PIXEL_SPACING_TOLERANCE * low).any():
        raise MixedMatrixError(
            f"pixel spacing differs: rows {low[0]:.4f} to {high[0]:.4f} mm, columns {low[1]:.4f} to {high[1]:.4f} mm"
        )
    row_mm, column_mm = np.median(spacing, axis=0)
    return float(row_mm), float(column_mm)


def _require_possible(planes: Sequence[Plane], spacing_yx: tuple[float, float]) -> None:
    low, high = PIXEL_SPACING_MM
    if not all(low <= spacing <= high for spacing in spacing_yx):
        raise ImpossibleGeometryError(
            f"{_TAGS['spacing_yx']} is {spacing_yx[0]:g} x {spacing_yx[1]:g} mm; CT has {low:g} to {high:g} mm"
        )
    rows, columns = planes[0].rows, planes[0].columns
    extent = max(rows * spacing_yx[0], columns * spacing_yx[1])
    if max(rows, columns) > MAX_MATRIX or extent > MAX_EXTENT_MM:
        raise ImpossibleGeometryError(f"slices of {rows} x {columns} pixels are {extent:.0f} mm wide")
    furthest = max(abs(value) for plane in planes for value in plane.position_lps or ())
    if furthest > MAX_POSITION_MM:
        raise ImpossibleGeometryError(f"{_TAGS['position_lps']} has a coordinate of {furthest:g} mm")


def _orthonormal(cosines: Vector) -> tuple[Vector, tuple[str, ...]]:
    """Return the unit axes x, y, z nearest to the cosines as columns, and a note if they were corrected."""
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
    return axes, (f"Image Orientation (Patient) deviated by {deviation:.4f} and was made orthonormal",)


def _sort(planes: Sequence[Plane], axes: Vector) -> _Stack:
    positions = np.array([plane.position_lps for plane in planes], dtype=np.float64) @ axes
    uids = [(p.source.sop_instance_uid, p.source.frame or 0, str(p.source.path)) for p in planes]
    order = sorted(range(len(planes)), key=lambda i: (positions[i, 2], uids[i]))
    return _Stack([planes[i] for i in order], axes, positions[order, 2], positions[order, :2])


# --- several acquisitions in one series -------------------------------------------------------------------------------


def _refuse_mixtures(stack: _Stack) -> None:
    frames = Counter(plane.frame_of_reference for plane in stack.planes)
    if len(frames) > 1:
        raise MixedAcquisitionsError(f"the series has {len(frames)} frames of reference")
    gaps = np.diff(stack.along_mm)
    apart = gaps[gaps > STEP_ROUNDING_MM]
    near = STEP_ROUNDING_MM + (STEP_TOLERANCE * float(np.median(apart)) if len(apart) else 0.0)
    position = np.concatenate([[0], np.cumsum(gaps > near)])
    shared = Counter(position.tolist())
    most = max(shared.values())
    if most > 1:
        _refuse_shared_positions(stack, position, most)
    for keyword in (*_ALTERNATION_MARKS, *_RECONSTRUCTION_MARKS):
        values = [_mark(plane, keyword) for plane in stack.planes]
        changes = sum(a != b for a, b in pairwise(values))
        is_range_mark = keyword in _RECONSTRUCTION_MARKS
        if is_range_mark and changes < max(_MIN_CHANGES, len(values) / 2):
            continue
        if changes >= len(set(values)):
            counts = " and ".join(str(n) for n in sorted(Counter(values).values(), reverse=True))
            raise MixedAcquisitionsError(
                f"acquisitions alternate along the stack: {keyword} has {len(set(values))} values for {counts} slices "
                f"and changes {changes} times"
            )


def _mark(plane: Plane, keyword: str) -> str:
    value = dict(plane.marks).get(keyword, "")
    if keyword != "ImageType":
        return value
    return "\\".join(part for part in value.split("\\") if not _COMPRESSION.fullmatch(part))


def _refuse_shared_positions(stack: _Stack, position: NDArray[np.int64], most: int) -> None:
    """Raise the error for slices that share a position: phases of the same anatomy, or duplicates."""
    members: dict[int, list[Plane]] = defaultdict(list)
    for index, plane in zip(position.tolist(), stack.planes, strict=True):
        members[index].append(plane)
    crowded = {index: planes for index, planes in members.items() if len(planes) > 1}
    for keyword in (*PHASE_MARKS, *TIME_MARKS):
        distinguishes = all(
            len({dict(p.marks).get(keyword, "") for p in group}) == len(group) for group in crowded.values()
        )
        values = Counter(dict(p.marks).get(keyword, "") for p in stack.planes)
        # Times may differ between slices of one acquisition; they distinguish phases if every position is shared.
        if distinguishes and (len(values) == most or len(crowded) == len(members)):
            raise MixedAcquisitionsError(
                f"the series mixes {most} acquisitions or phases: they differ in {keyword}, and {len(crowded)} of "
                f"{len(members)} positions have several slices"
            )
    first = min(crowded)
    where = stack.along_mm[int(np.argmax(position == first))]
    raise DuplicatePositionError(
        f"{len(crowded[first])} slices are at {where:.2f} mm along the normal, and {len(crowded)} of {len(members)} "
        "positions have several slices"
    )


# --- distances between slices -----------------------------------------------------------------------------------------


def _regular(stack: _Stack, repair_gaps: bool) -> tuple[_Stack, tuple[str, ...]]:
    """Return the stack if it is regular, else its longest regular run with a note."""
    gaps = np.diff(stack.along_mm)
    _require_possible_distance(float(np.median(gaps)))
    if _is_regular(stack.along_mm):
        return stack, ()
    if _is_coarsely_rounded(stack):
        return _evened(stack), (f"positions of slices are rounded to {COARSE_ROUNDING_MM:g} mm and were evened out",)
    runs = _runs(stack.along_mm)
    error = _explain(stack.along_mm, gaps, runs)
    start, stop = max(runs, key=lambda run: (stack.along_mm[run[1] - 1] - stack.along_mm[run[0]], -run[0]))
    if not repair_gaps or stop - start < MIN_SLICES:
        raise error
    kept = stack.subset(start, stop)
    note = (
        f"{error.message}; the longest regular run was kept, {stop - start} of {len(stack.planes)} slices from "
        f"{kept.along_mm[0]:.2f} to {kept.along_mm[-1]:.2f} mm along the normal"
    )
    return kept, (note,)


def _require_possible_distance(step_mm: float) -> None:
    low, high = SLICE_DISTANCE_MM
    if not low <= step_mm <= high:
        raise ImpossibleGeometryError(f"slices are {step_mm:g} mm apart; CT has {low:g} to {high:g} mm")


def _is_coarsely_rounded(stack: _Stack) -> bool:
    """Return whether every coordinate is a multiple of 0.1 mm, and rounding explains all deviations."""
    positions = np.array([plane.position_lps for plane in stack.planes], dtype=np.float64) / COARSE_ROUNDING_MM
    if np.abs(positions - np.rint(positions)).max() > 1e-6:
        return False
    # Along an oblique normal the roundings of three coordinates add up.
    largest = float(np.abs(stack.axes[:, 2]).sum()) * COARSE_ROUNDING_MM / 2
    step = float(stack.along_mm[-1] - stack.along_mm[0]) / (len(stack.planes) - 1)
    return step > 2 * largest and float(np.abs(stack.along_mm - _even_positions(stack.along_mm)).max()) <= (
        largest + STEP_ROUNDING_MM
    )


def _even_positions(along_mm: Vector) -> Vector:
    """Return the evenly spaced positions that fit best."""
    index = np.arange(len(along_mm))
    step, start = np.polyfit(index, along_mm, 1)
    return np.asarray(start + step * index)


def _evened(stack: _Stack) -> _Stack:
    return _Stack(stack.planes, stack.axes, _even_positions(stack.along_mm), stack.within_mm)


def _tolerance_mm(step_mm: float) -> float:
    return max(STEP_ROUNDING_MM, STEP_TOLERANCE * step_mm)


def _is_regular(along_mm: Vector) -> bool:
    step = (along_mm[-1] - along_mm[0]) / (len(along_mm) - 1)
    even = along_mm[0] + step * np.arange(len(along_mm))
    tolerance = _tolerance_mm(step)
    return bool(np.abs(np.diff(along_mm) - step).max() <= tolerance and np.abs(along_mm - even).max() <= 2 * tolerance)


def _runs(along_mm: Vector) -> list[tuple[int, int]]:
    """Return the maximal regular runs (start, stop); adjacent runs share a slice."""
    runs, start, last = [], 0, len(along_mm) - 1
    while start < last:
        stop = start + 2
        while stop <= last and _is_regular(along_mm[start : stop + 1]):
            stop += 1
        runs.append((start, stop))
        start = stop - 1
    return runs


def _explain(along_mm: Vector, gaps: Vector, runs: list[tuple[int, int]]) -> GeometryError:
    """Return the error that describes how the distances differ."""
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
            f"{counted(missing, 'slice')} missing in {counted(len(holes), 'gap')} of a stack with a spacing of "
            f"{step:.3f} mm; the widest gap is {gaps[widest]:.2f} mm, from {start_mm:.2f} to "
            f"{stop_mm:.2f} mm along the normal"
        )
    odd = int(np.argmax(np.abs(gaps - step)))
    return VariableSpacingError(
        f"the distance between slices varies from {gaps.min():.3f} to {gaps.max():.3f} mm (usually {step:.3f} mm); "
        f"the largest deviation is {gaps[odd]:.3f} mm at {along_mm[odd]:.2f} mm along the normal"
    )


# --- shear ------------------------------------------------------------------------------------------------------------


def _grid(stack: _Stack, spacing_yx: tuple[float, float]) -> tuple[Grid, tuple[str, ...]]:
    """Return the grid of a regular stack, sheared if the gantry was tilted, and a note about the tilt."""
    count = len(stack.planes)
    step = float(stack.along_mm[-1] - stack.along_mm[0]) / (count - 1)
    drift = (stack.within_mm[-1] - stack.within_mm[0]) / (count - 1)
    line = stack.within_mm[0] + drift * np.arange(count)[:, None]
    off = np.abs(stack.within_mm - line).max(axis=1)
    if off.max() > SHIFT_TOLERANCE_MM:
        worst = int(np.argmax(off))
        raise GeometryError(
            f"slices are shifted within their plane: one is {off[worst]:.2f} mm off the line of the others, at "
            f"{stack.along_mm[worst]:.2f} mm along the normal",
            advice="Send each range as a separate series: two reconstructions are mixed, or the table was moved.",
        )
    shear = np.where(np.abs(drift * (count - 1)) > SHIFT_TOLERANCE_MM, drift, 0.0)
    row_deg, column_deg = (math.degrees(math.atan2(float(v), step)) for v in shear)
    if abs(row_deg) > MAX_ROW_SHEAR_DEG:
        raise ExcessiveTiltError(
            f"the stack is sheared by {row_deg:.1f} degrees along its rows, which a gantry cannot cause"
        )
    if abs(column_deg) > MAX_TILT_DEG:
        raise ExcessiveTiltError(f"the stack is sheared by {column_deg:.1f} degrees (at most {MAX_TILT_DEG:.0f})")
    origin = stack.axes @ np.array([*stack.within_mm[0], stack.along_mm[0]])
    affine = make_affine(stack.axes, (spacing_yx[1], spacing_yx[0], step), origin)
    affine[:3, 2] += stack.axes[:, :2] @ shear
    grid = Grid((count, stack.planes[0].rows, stack.planes[0].columns), affine)
    if not shear.any():
        return grid, ()
    angle = math.degrees(math.atan2(float(np.hypot(*shear)), step))
    return grid, (f"gantry tilt of {angle:.1f} degrees; slices were resampled to an orthogonal grid",)
