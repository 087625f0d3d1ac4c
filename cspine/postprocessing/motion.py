"""Findings about motion: a neck that is displaced from one slice to the next, so that its edges are stepped.

The shift between adjacent slices is that of their muscles, airway and bones; a bent neck shifts every slice a little, a
patient who moved shifts a few of them much. Motion that only blurs or doubles edges within slices is not recognised.
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from cspine.core.anatomy import rank, vertebra
from cspine.core.findings import MOTION, Finding
from cspine.core.geometry import reorientation
from cspine.core.norms import MIN_MOTION_MM, MIN_MOTION_PIXELS, MIN_MOTION_SLOPE
from cspine.core.shape import margin_zyx, occupied_box
from cspine.core.volumes import CtVolume, HuArray, LabelArray, LabelVolume

#: What is compared: the column with the muscles and the airway around it, without most of the shoulders.
_MARGIN_MM = 30.0
#: Soft tissue has edges in every slice, bone only in some: what is denser than muscle counts little more than it.
_WINDOW_HU = (-200, 300)
#: Slices closer than this are not all compared.
_SLICE_MM = 1.0
#: Slices are averaged to pixels of about this size, and blurred by a share of it: noise has no edges then.
_PIXEL_MM, _BLUR_PIXELS = 1.5, 0.7
#: Slices that correlate less than this show different things, or only noise.
_MIN_CORRELATION = 0.6
#: So far no patient moves between two slices: where the skull begins, its edges match elsewhere.
_MAX_SHIFT_MM = 15.0
#: A patient moves while a scanner passes this much of the column; over this much of it above and below a slice, the
#: median shift is that of the posture.
_STRETCH_MM, _POSTURE_MM = 3.0, 12.0

Shifts = NDArray[np.float64]


def motion_findings(ct: CtVolume, labels: LabelVolume) -> tuple[Finding, ...]:
    """Return a finding for each vertebra at which the neck is displaced between slices.

    Parameters
    ----------
    ct : CtVolume
        The image.
    labels : LabelVolume
        The vertebrae on the grid of the image.

    Returns
    -------
    tuple of Finding
        From head to foot.
    """
    change = reorientation(labels.affine_lps, "LPS")
    grid = change.grid(labels.grid)
    labels_zyx = change.apply(labels.labels_zyx)
    box = occupied_box(labels_zyx, (0, *margin_zyx(_MARGIN_MM, grid)[1:]))
    if box is None:
        return ()
    x_mm, y_mm, z_mm = grid.spacing_xyz
    step = max(1, round(_SLICE_MM / z_mm))
    slices = cast(HuArray, change.apply(ct.hu_zyx))[box][::step]
    displaced = displacements_mm(shifts_mm(slices, (y_mm, x_mm)), step * z_mm)
    limit_mm = max(MIN_MOTION_MM, MIN_MOTION_SLOPE * step * z_mm, MIN_MOTION_PIXELS * max(x_mm, y_mm))
    return _findings(displaced, labels_zyx[box][::step], limit_mm)


def shifts_mm(hu_zyx: HuArray, pixel_yx_mm: tuple[float, float]) -> Shifts:
    """Return how far each slice is shifted against the next one.

    Parameters
    ----------
    hu_zyx : ndarray, shape (z, y, x)
        Slices, HU.
    pixel_yx_mm : tuple of float
        Size of their pixels.

    Returns
    -------
    ndarray, shape (z - 1, 2)
        Along y and x, millimetres; NaN where the slices are too different to say.
    """
    steps = [min(max(1, round(_PIXEL_MM / mm)), n) for mm, n in zip(pixel_yx_mm, hu_zyx.shape[1:], strict=True)]
    slices = [_prepared(one, (steps[0], steps[1])) for one in hu_zyx]
    energies = [float((one**2).sum()) for one in slices]
    spectra = [fft.rfft2(one) for one in slices]
    found = [
        _shift(fft.irfft2(one * np.conj(other), slices[0].shape), np.sqrt(energy * next_energy))
        for (one, other), (energy, next_energy) in zip(pairwise(spectra), pairwise(energies), strict=True)
    ]
    shifts = np.array(found, dtype=np.float64).reshape(-1, 2) * np.multiply(pixel_yx_mm, steps)
    shifts[np.linalg.norm(shifts, axis=1) > _MAX_SHIFT_MM] = np.nan
    return shifts


def _shift(correlation_yx: NDArray[np.float32], perfect: float) -> tuple[float, ...]:
    """Return the shift at the peak of a circular cross-correlation, in pixels; NaN if the peak is low.

    Between pixels the peak is that of a parabola through its neighbours.
    """
    peak = np.unravel_index(int(np.argmax(correlation_yx)), correlation_yx.shape)
    height = float(correlation_yx[peak])
    if height <= 0 or height < _MIN_CORRELATION * perfect:
        return (np.nan, np.nan)
    shift = []
    for axis, count in enumerate(correlation_yx.shape):
        line = np.moveaxis(correlation_yx, axis, 0)[:, peak[1 - axis]]
        at = int(peak[axis])
        before, after = float(line[at - 1]), float(line[(at + 1) % count])
        bend = before - 2 * height + after
        between = (before - after) / (2 * bend) if bend < 0 else 0.0
        shift.append((at + count // 2) % count - count // 2 + between)
    return tuple(shift)


def _prepared(hu_yx: HuArray, steps_yx: tuple[int, int]) -> NDArray[np.float32]:
    """Return a slice in coarse pixels that fades to its edge, where what enters the image is no shift."""
    step_y, step_x = steps_yx
    rows, columns = hu_yx.shape[0] // step_y, hu_yx.shape[1] // step_x
    pixels = np.clip(hu_yx[: rows * step_y, : columns * step_x], *_WINDOW_HU).astype(np.float32)
    pixels = ndimage.gaussian_filter(pixels.reshape(rows, step_y, columns, step_x).mean(axis=(1, 3)), _BLUR_PIXELS)
    fading = np.sqrt(np.outer(np.hanning(rows + 2)[1:-1], np.hanning(columns + 2)[1:-1]))
    return np.asarray((pixels - pixels.mean()) * fading, dtype=np.float32)


def displacements_mm(shifts: Shifts, slice_mm: float) -> NDArray[np.float64]:
    """Return how far each slice is displaced against what the posture explains.

    Parameters
    ----------
    shifts : ndarray, shape (z - 1, 2)
        From `shifts_mm`.
    slice_mm : float
        Distance of the slices.

    Returns
    -------
    ndarray, shape (z - 1,)
        Length of the displacement over the stretch that begins at each slice, millimetres.
    """
    reach, stretch = max(3, round(_POSTURE_MM / slice_mm)), max(1, round(_STRETCH_MM / slice_mm))
    known = np.asarray(np.isfinite(shifts).all(axis=1))
    beyond = np.zeros_like(shifts)
    for index in np.flatnonzero(known):
        near = slice(max(index - reach, 0), index + reach + 1)
        beyond[index] = shifts[index] - np.median(shifts[near][known[near]], axis=0)
    moved = np.concatenate([np.zeros((1, 2)), np.cumsum(beyond, axis=0)])
    ends = np.minimum(np.arange(len(shifts)) + stretch, len(shifts))
    return np.asarray(np.linalg.norm(moved[ends] - moved[:-1], axis=1))


def _findings(displaced_mm: NDArray[np.float64], labels_zyx: LabelArray, limit_mm: float) -> tuple[Finding, ...]:
    """Return a finding for each vertebra at a place where the displacement exceeds a limit."""
    places, count = ndimage.label(displaced_mm > limit_mm)
    if not count:
        return ()
    largest: dict[int, float] = {}
    for index in ndimage.maximum_position(displaced_mm, places, range(1, count + 1)):
        label = _nearest_label(labels_zyx, int(index[0]))
        largest[label] = max(largest.get(label, 0.0), float(displaced_mm[index]))
    return tuple(
        MOTION.about(
            f"At {vertebra(label).name} the neck is displaced by {largest[label]:.1f} mm between slices; the patient "
            "probably moved during the scan.",
            vertebra(label).name,
        )
        for label in sorted(largest, key=rank)
    )


def _nearest_label(labels_zyx: LabelArray, index: int) -> int:
    """Return the label with the most voxels in the nearest slice that has any."""
    occupied = np.flatnonzero(labels_zyx.any(axis=(1, 2)))
    counts = np.bincount(labels_zyx[occupied[np.argmin(np.abs(occupied - index))]].ravel())
    return int(counts[1:].argmax()) + 1
