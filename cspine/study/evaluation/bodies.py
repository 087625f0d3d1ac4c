"""Compare vertebral bodies alone, with systems that label no arches and processes."""

from __future__ import annotations

import numpy as np

from cspine.core.geometry import to_lps
from cspine.core.shape import LevelShape, shapes_of
from cspine.core.volumes import LabelArray, LabelVolume
from cspine.measurements.geometry import VertebraGeometry, find_geometry


def bodies_only(reference: LabelVolume, found: LabelVolume) -> tuple[LabelVolume, LabelVolume]:
    """Return both label images with the levels whose body is known in the reference, and its bodies alone.

    A body lies in front of the posterior wall of its vertebra and between its sides, as `cspine measure` finds them.
    The atlas has none; a level whose body is not found in the reference is omitted from both images.

    Parameters
    ----------
    reference : LabelVolume
        Complete vertebrae.
    found : LabelVolume
        Bodies that a system predicted, on the same grid.
    """
    labels = np.zeros_like(reference.labels_zyx)
    shapes = {shape.vertebra.name: shape for shape in shapes_of(reference.labels_zyx, reference.grid)}
    geometry = find_geometry(reference, tuple(shapes.values()))
    known = []
    for level, parts in geometry.items():
        if parts.body is not None and parts.box is not None:
            _draw_body(labels, reference, shapes[level], parts)
            known.append(shapes[level].vertebra.label)
    kept = np.where(np.isin(found.labels_zyx, known), found.labels_zyx, np.uint8(0))
    return LabelVolume(labels, reference.affine_lps), LabelVolume(kept, found.affine_lps)


def _draw_body(
    bodies_zyx: LabelArray, reference: LabelVolume, shape: LevelShape, parts: VertebraGeometry
) -> None:  # fmt: skip
    """Set the voxels of a vertebra's body, in place."""
    body, box = parts.body, parts.box
    assert body is not None and box is not None
    start_xyz = np.array([part.start for part in reversed(shape.box_zyx)])
    index_zyx = np.argwhere(reference.labels_zyx[shape.box_zyx] == shape.vertebra.label)
    points = to_lps(reference.affine_lps, (index_zyx[:, ::-1] + start_xyz).astype(np.float64))
    left, posterior, superior = body.frame.from_lps(points).T
    inside = (posterior <= body.wall_at(superior)) & (left >= box.right) & (left <= box.left)
    bodies_zyx[shape.box_zyx][tuple(index_zyx[inside].T)] = shape.vertebra.label
