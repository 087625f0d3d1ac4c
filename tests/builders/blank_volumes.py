"""The smallest CT with labels: for tests of what is written, not of what it shows."""

from __future__ import annotations

import numpy as np

from cspine.core.volumes import CtVolume, LabelVolume


def blank_volumes(value: int = 0) -> tuple[CtVolume, LabelVolume]:
    """Return an image of one value, shape (3, 4, 5), all of it labelled C1."""
    hu = np.full((3, 4, 5), value, dtype=np.int16)
    return CtVolume(hu, np.eye(4)), LabelVolume(np.ones((3, 4, 5), dtype=np.uint8), np.eye(4))
