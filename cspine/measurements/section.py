"""The midsagittal section of a vertebra, in which body and posterior arch are two parts with the canal between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cspine.measurements.frame import Bone, Frame, extent_in

#: Distance of samples, millimetres; and the half width of the band about the plane that the section averages.
STEP_MM = 0.5
BAND_MM = 3.0
#: A part of the section that is smaller is noise of the labels; a canal is at least this wide between the two parts.
_MIN_PART_MM2 = 6.0
_MIN_CANAL_MM = 4.0

Share = NDArray[np.float32]
Mask = NDArray[np.bool_]
Curve = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Section:
    """The midsagittal section of a vertebra.

    Parameters
    ----------
    frame : Frame
        Axes of the section.
    share_zy : ndarray of float32, shape (z, y)
        Share of bone, averaged over the band; rows lead upwards, columns backwards.
    low : tuple of float
        Posterior and superior coordinate of the first sample, millimetres.
    front, back : ndarray of bool, shape (z, y)
        The part before the canal (body, dens, or anterior arch) and the one behind it (arch with spinous process).
    """

    frame: Frame
    share_zy: Share
    low: tuple[float, float]
    front: Mask
    back: Mask

    def y_mm(self, column: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """Return the posterior coordinate of columns.

        Parameters
        ----------
        column : ndarray or float
            Columns of the section; fractions lie between samples.

        Returns
        -------
        ndarray
            Millimetres in the frame.
        """
        return np.asarray(self.low[0] + np.asarray(column) * STEP_MM, dtype=np.float64)

    def z_mm(self, row: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """Return the superior coordinate of rows.

        Parameters
        ----------
        row : ndarray or float
            Rows of the section; fractions lie between samples.

        Returns
        -------
        ndarray
            Millimetres in the frame.
        """
        return np.asarray(self.low[1] + np.asarray(row) * STEP_MM, dtype=np.float64)

    def outline(self, part: Mask) -> Curve:
        """Return the points of the outline of a part, shape (n, 2): posterior and superior, millimetres.

        Parameters
        ----------
        part : ndarray of bool, shape (z, y)
            Samples of the part.
        """
        from skimage.measure import find_contours  # slow to import

        near = np.pad(np.where(ndimage.binary_dilation(part), self.share_zy, 0), 1)
        curves = find_contours(near, 0.5)  # type: ignore[no-untyped-call]
        if not curves:
            return np.empty((0, 2))
        rows, columns = (np.concatenate(curves) - 1).T
        return np.stack([self.y_mm(columns), self.z_mm(rows)], axis=1)

    def edges(self, part: Mask, axis: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return where lines along an axis enter and leave a part.

        Parameters
        ----------
        part : ndarray of bool
            `front` or `back`.
        axis : int
            0 for lines upwards, one for each column; 1 for lines backwards, one for each row.

        Returns
        -------
        position, first, last : ndarray
            Coordinate of each line that meets the part, and of both ends, millimetres.
        """
        near = np.where(ndimage.binary_dilation(part), self.share_zy, 0)
        lines, hits = (near.T, part.T) if axis == 0 else (near, part)
        along, across = (self.z_mm, self.y_mm) if axis == 0 else (self.y_mm, self.z_mm)
        index = np.flatnonzero(hits.any(axis=1))
        ends = np.array([_ends(lines[i]) for i in index]).reshape(-1, 2)
        return across(index.astype(np.float64)), along(ends[:, 0]), along(ends[:, 1])


def _ends(line: Share) -> tuple[float, float]:
    """Return where the outermost samples of at least 0.5 begin and end, interpolated."""
    inside = np.flatnonzero(line >= 0.5)
    if not inside.size:
        return np.nan, np.nan
    first, last = int(inside[0]), int(inside[-1])
    start = first - _beyond(line[first], line[first - 1] if first else 0.0)
    end = last + _beyond(line[last], line[last + 1] if last + 1 < len(line) else 0.0)
    return start, end


def _beyond(inner: float, outer: float) -> float:
    """Return how far, in samples, the level 0.5 lies beyond an inner sample towards an outer one."""
    return float((inner - 0.5) / (inner - outer))


def midsagittal(bone: Bone, frame: Frame, band_mm: float = BAND_MM) -> Section | None:
    """Return the midsagittal section of a vertebra; None where body and arch cannot be told apart in it.

    Parameters
    ----------
    bone : Bone
        The vertebra.
    frame : Frame
        Its axes; the superior one may be an estimate.
    band_mm : float
        Half width of the band.
    """
    low, high = extent_in(frame, bone)
    low[0], high[0] = -band_mm, band_mm
    share_zy = bone.sampled(frame.grid(low, high, STEP_MM)).mean(axis=2)
    parts = _parts(share_zy)
    if parts is None:
        return None
    return Section(frame, share_zy, (float(low[1]), float(low[2])), *parts)


def _parts(share_zy: Share) -> tuple[Mask, Mask] | None:
    """Return the parts before and behind the widest gap along the posterior axis."""
    labelled, count = ndimage.label(share_zy >= 0.5)
    spans = []
    for number, box in enumerate(ndimage.find_objects(labelled), start=1):
        if (labelled[box] == number).sum() * STEP_MM**2 >= _MIN_PART_MM2:
            spans.append((box[1].start, box[1].stop, number))
    spans.sort()
    best, cut, reach = _MIN_CANAL_MM / STEP_MM, 0, 0
    for index, (start, stop, _) in enumerate(spans):
        if index and start - reach >= best:
            best, cut = start - reach, index
        reach = max(reach, stop)
    if not count or not cut:
        return None
    front = np.isin(labelled, [number for _, _, number in spans[:cut]])
    back = np.isin(labelled, [number for _, _, number in spans[cut:]])
    return front, back
