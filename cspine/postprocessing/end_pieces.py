"""Pieces at an end of the image that carry a level of their own, and lie where that level cannot be.

Where an image ends within the neck, the tip of a spinous process may be labelled as the vertebra below, of which
nothing is in view. Such a piece is part of a vertebra beside it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cspine.core.findings import END_PIECE, Finding
from cspine.core.geometry import Grid
from cspine.core.norms import MIN_END_STEP_MM, MIN_PIECE_MM3
from cspine.core.shape import LevelShape, shapes_of
from cspine.core.volumes import LabelArray
from cspine.postprocessing.components import contact_faces, find_pieces
from cspine.postprocessing.order import head_axis

#: With fewer complete levels there is no direction of the column to compare with.
_MIN_LEVELS = 3


def assign_end_pieces(labels_zyx: LabelArray, grid: Grid) -> list[Finding]:
    """Give the pieces of a first or last level that is no vertebra to the neighbours that they touch, in place.

    A level at an end of the column is no vertebra if it is small and does not lie beyond its neighbour along the
    column. A piece of it that touches no other level is removed.

    Parameters
    ----------
    labels_zyx : ndarray of uint8, shape (z, y, x)
        Labels; changed.
    grid : Grid
        Grid of the array.

    Returns
    -------
    list of Finding
    """
    findings = []
    for at_foot in (True, False):
        while (shape := _misplaced(shapes_of(labels_zyx, grid), at_foot=at_foot)) is not None:
            _reassign(labels_zyx, shape)
            name, side = shape.vertebra.name, "below" if at_foot else "above"
            piece = f"A piece of {shape.volume_mm3 / 1000:.1f} ml labelled {name}"
            sentence = (
                f"{piece} does not lie {side} the next vertebra; it was assigned to the vertebrae that it touches."
            )
            findings.append(END_PIECE.about(sentence, name))
    return findings


def _misplaced(shapes: tuple[LevelShape, ...], *, at_foot: bool) -> LevelShape | None:
    """Return the last level of an end of the column if it is small and not beyond its neighbour, or None."""
    if len(shapes) <= _MIN_LEVELS:
        return None
    end, neighbour = (shapes[-1], shapes[-2]) if at_foot else (shapes[0], shapes[1])
    if end.volume_mm3 >= MIN_PIECE_MM3[end.vertebra.region]:
        return None
    others = shapes[:-1] if at_foot else shapes[1:]
    axis = head_axis(np.array([shape.centroid_lps for shape in others]))
    beyond = float((neighbour.centroid_lps - end.centroid_lps) @ axis) * (1 if at_foot else -1)
    return end if beyond < MIN_END_STEP_MM else None


def _reassign(labels_zyx: LabelArray, shape: LevelShape) -> None:
    numbers_zyx, pieces = find_pieces(labels_zyx)
    label = shape.vertebra.label
    changes: list[tuple[NDArray[np.bool_], tuple[slice, slice, slice], int]] = []
    for piece in pieces:
        if piece.label == label:
            touching, _ = contact_faces(labels_zyx, numbers_zyx, piece)
            receiver = min(touching, key=lambda other: (-touching[other], other), default=0)
            changes.append((numbers_zyx[piece.box_zyx] == piece.number, piece.box_zyx, receiver))
    for inside, box, receiver in changes:
        labels_zyx[box][inside] = receiver
