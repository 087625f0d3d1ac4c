"""Find the patient in the image, so that the network skips what lies outside."""

from __future__ import annotations

import cc3d

from cspine.core.shape import Box, occupied_box
from cspine.core.volumes import CtVolume

_BODY_HU = -300
_STEP_MM = 4.0
_MARGIN_MM = 12.0


def body_box(volume: CtVolume) -> Box:
    """Return the bounding box of the patient: the largest connected part of the image that is denser than -300 HU.

    Parameters
    ----------
    volume : CtVolume
        Any orientation.

    Returns
    -------
    tuple of slice
        Along z, y, x, with a margin of 12 mm; the whole image if nothing is that dense.
    """
    steps = [max(1, round(_STEP_MM / s)) for s in reversed(volume.grid.spacing_xyz)]
    dense = volume.hu_zyx[:: steps[0], :: steps[1], :: steps[2]] > _BODY_HU
    body = cc3d.largest_k(dense, k=1, connectivity=6) > 0
    if not body.any():
        body[:] = True
    coarse = occupied_box(body)
    assert coarse is not None
    box = []
    for axis, (step, spacing) in enumerate(zip(steps, reversed(volume.grid.spacing_xyz), strict=True)):
        margin = step + round(_MARGIN_MM / spacing)
        start, last = coarse[axis].start * step, (coarse[axis].stop - 1) * step
        box.append(slice(max(0, start - margin), min(volume.hu_zyx.shape[axis], last + margin + 1)))
    return box[0], box[1], box[2]
