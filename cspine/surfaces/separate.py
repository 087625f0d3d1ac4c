"""Keeping vertebrae apart: fields of neighbours are lowered where their surfaces overlap, or come closer than a gap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from cspine.core.anatomy import Vertebra
from cspine.core.geometry import to_lps
from cspine.surfaces.implicit import Field, ImplicitSurface, Mask, without_zeros
from cspine.surfaces.surface import Points, extract

#: Gap at points in millimetres (LPS), shape (n, 3): shape (n,).
GapAt = Callable[[Points], NDArray[np.float64]]
Box = tuple[slice, slice, slice]
#: Beyond the gap, how far around the surfaces the fields are compared.
_MARGIN_MM = 1.5


@dataclass(frozen=True, eq=False)
class PlacedSurface:
    """A field with its place among the samples of the whole image.

    Parameters
    ----------
    vertebra : Vertebra
        The level.
    implicit : ImplicitSurface
        The field.
    first_zyx : tuple of int
        Index of its first sample; negative where the field reaches beyond the image.
    """

    vertebra: Vertebra
    implicit: ImplicitSurface
    first_zyx: tuple[int, int, int]


def separate(placed: Sequence[PlacedSurface], max_gap_mm: float, gap_at: GapAt | None = None) -> list[PlacedSurface]:
    """Return fields whose surfaces do not overlap, and keep a gap.

    A point belongs to a vertebra where it lies deeper in it than in its neighbour by the gap. As distances change by
    at most one millimetre per millimetre, points of two vertebrae are then at least the gap apart.

    Parameters
    ----------
    placed : sequence of PlacedSurface
        Vertebrae on the samples of one image.
    max_gap_mm : float
        The gap, or the largest that ``gap_at`` returns.
    gap_at : callable, optional
        The gap by position.
    """
    fields = [each.implicit.field_zyx.copy() for each in placed]
    points = [extract(each.implicit, each.vertebra).points_lps for each in placed]
    for i, j in combinations(range(len(placed)), 2):
        boxes = _common(placed[i], placed[j])
        if boxes is None:
            continue
        here = _near(placed[i].implicit, boxes[0], max_gap_mm) & _near(placed[j].implicit, boxes[1], max_gap_mm)
        if not here.any():
            continue
        index_zyx = np.argwhere(here) + [part.start for part in boxes[0]]
        where = to_lps(placed[i].implicit.affine_lps, index_zyx[:, ::-1].astype(np.float64))
        depth = [
            np.where(each.implicit.field_zyx[box][here] > 0, 1, -1) * cKDTree(corners).query(where)[0]
            for each, box, corners in ((placed[i], boxes[0], points[i]), (placed[j], boxes[1], points[j]))
        ]
        gap = np.full(len(where), max_gap_mm) if gap_at is None else gap_at(where)
        deeper = depth[0] - depth[1]
        _lower(fields[i], boxes[0], here, (deeper - gap) / 2)
        _lower(fields[j], boxes[1], here, (-deeper - gap) / 2)
    return [
        replace(each, implicit=replace(each.implicit, field_zyx=without_zeros(field)))
        for each, field in zip(placed, fields, strict=True)
    ]


def _common(one: PlacedSurface, other: PlacedSurface) -> tuple[Box, Box] | None:
    """Return the samples that two fields share, as boxes in each; None if there are none."""
    boxes: tuple[list[slice], list[slice]] = ([], [])
    for axis in range(3):
        starts = one.first_zyx[axis], other.first_zyx[axis]
        low = max(starts)
        high = min(
            start + each.implicit.field_zyx.shape[axis] for start, each in zip(starts, (one, other), strict=True)
        )
        if low >= high:
            return None
        for box, start in zip(boxes, starts, strict=True):
            box.append(slice(low - start, high - start))
    return (boxes[0][0], boxes[0][1], boxes[0][2]), (boxes[1][0], boxes[1][1], boxes[1][2])


def _near(implicit: ImplicitSurface, box: Box, gap_mm: float) -> Mask:
    """Return the samples of a box that lie in an object, or at most the gap and a margin outside it."""
    spacing = np.linalg.norm(implicit.affine_lps[:3, :3], axis=0)[::-1]
    around = [int(np.ceil((gap_mm + _MARGIN_MM) / step)) for step in spacing]
    before = [min(part.start, more) for part, more in zip(box, around, strict=True)]
    wider = tuple(slice(part.start - n, part.stop + m) for part, n, m in zip(box, before, around, strict=True))
    outside = implicit.field_zyx[wider] <= 0
    if outside.all():
        return np.zeros([part.stop - part.start for part in box], dtype=np.bool_)
    distance = ndimage.distance_transform_edt(outside, sampling=spacing)
    inner = tuple(slice(n, n + part.stop - part.start) for part, n in zip(box, before, strict=True))
    return np.asarray(distance[inner] <= gap_mm + _MARGIN_MM)


def _lower(field: Field, box: Box, here: Mask, limit_mm: NDArray[np.float64]) -> None:
    """Limit a field at the chosen samples of a box."""
    part = field[box]
    part[here] = np.minimum(part[here], limit_mm.astype(np.float32))
