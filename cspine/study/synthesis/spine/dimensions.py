"""Size of each level of an adult spine, millimetres.

End-plate widths and depths and body heights follow the means of Panjabi et al. (cervical: Spine 1991, 16:861; thoracic:
Spine 1991, 16:888; lumbar: Spine 1992, 17:299), rounded; what they do not give (C1, C2, T13, L6, processes, discs) is
plausible anatomy.
"""

from __future__ import annotations

from dataclasses import dataclass

from cspine.core.anatomy import VERTEBRAE, Vertebra


@dataclass(frozen=True)
class Dimensions:
    """One vertebra.

    Parameters
    ----------
    width, depth, height : float
        Of the body: side to side, front to back, end plate to end plate.
    disc : float
        Height of the disc below.
    canal : tuple of float
        Width and depth of the spinal canal.
    span : float
        Tip to tip of the transverse processes.
    spinous : tuple of float
        Length of the spinous process behind the canal, and how far its tip lies below its root.
    """

    width: float
    depth: float
    height: float
    disc: float
    canal: tuple[float, float]
    span: float
    spinous: tuple[float, float]


_ROWS: dict[str, tuple[float, float, float, float, float, float, float, float, float]] = {
    # width, depth, height, disc, canal width, canal depth, span, spinous length, spinous drop
    "C1": (0, 0, 12, 3, 30, 20, 76, 6, 0),
    "C2": (17, 14, 20, 5, 24, 16, 54, 16, 6),
    "C3": (16, 15, 12, 5, 23, 14, 54, 14, 5),
    "C4": (17, 15, 12, 5, 24, 14, 54, 14, 5),
    "C5": (18, 15, 12, 5, 24, 14, 56, 16, 6),
    "C6": (19, 16, 12, 5, 25, 14, 58, 22, 7),
    "C7": (22, 17, 13, 5, 24, 14, 66, 32, 10),
    "T1": (25, 18, 14, 4, 22, 15, 74, 32, 12),
    "T2": (25, 19, 16, 4, 20, 15, 68, 32, 16),
    "T3": (25, 22, 16, 4, 19, 16, 62, 32, 20),
    "T4": (25, 23, 16, 4, 18, 16, 60, 32, 24),
    "T5": (25, 24, 16, 4, 18, 16, 60, 32, 28),
    "T6": (26, 26, 17, 4, 18, 16, 60, 32, 30),
    "T7": (28, 27, 18, 4, 17, 16, 60, 32, 30),
    "T8": (29, 28, 19, 5, 17, 16, 60, 32, 28),
    "T9": (31, 29, 19, 5, 17, 16, 58, 31, 24),
    "T10": (32, 30, 20, 5, 18, 16, 56, 30, 18),
    "T11": (35, 32, 21, 6, 19, 16, 50, 28, 12),
    "T12": (39, 33, 23, 7, 22, 18, 46, 28, 8),
    "T13": (40, 33, 23, 7, 22, 18, 48, 28, 7),
    "L1": (41, 34, 24, 8, 23, 19, 72, 30, 6),
    "L2": (43, 35, 24, 9, 23, 18, 78, 32, 6),
    "L3": (44, 35, 24, 10, 23, 18, 88, 32, 6),
    "L4": (47, 35, 24, 11, 24, 18, 84, 30, 6),
    "L5": (47, 35, 24, 11, 27, 19, 84, 26, 6),
    "L6": (47, 35, 23, 10, 27, 19, 82, 24, 6),
}


def dimensions(level: Vertebra) -> Dimensions:
    """Return the size of a level."""
    width, depth, height, disc, canal_width, canal_depth, span, spinous, drop = _ROWS[level.name]
    return Dimensions(width, depth, height, disc, (canal_width, canal_depth), span, (spinous, drop))


assert set(_ROWS) == {level.name for level in VERTEBRAE}
