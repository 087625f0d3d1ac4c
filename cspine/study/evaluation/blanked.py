"""Copies of real CTs that are blank below a level, with what is expected to remain: images may end anywhere.

Many planning CTs are padded with blank slices. What a model says of such a copy can be compared with what the same, or
another, model says of the complete image.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cspine.core.anatomy import CERVICAL_LEVELS, Vertebra
from cspine.core.errors import InputError
from cspine.core.geometry import reorientation
from cspine.core.shape import vertebrae_only
from cspine.core.volumes import CtVolume, LabelVolume

#: Levels below which a copy is blank.
BLANK_BELOW = CERVICAL_LEVELS[2:]
#: A level of which at least so much remains is expected to be found; of less, it may be.
EXPECTED_SHARE = 0.5


@dataclass(frozen=True, eq=False)
class BlankedCase:
    """A copy of a CT that is blank below a level.

    Parameters
    ----------
    below : Vertebra
        The lowest level that is complete.
    ct : CtVolume
        Axes to L, P, S; the blank slices have the lowest value of the image.
    labels : LabelVolume
        Labels of the complete image, without what is blank.
    blank_mm : float
        Height of the blank part.
    remaining : dict of str to float
        Share of each level's voxels that is left; levels of which nothing is left are absent.
    """

    below: Vertebra
    ct: CtVolume
    labels: LabelVolume
    blank_mm: float
    remaining: dict[str, float]

    def row(self, subject: str) -> dict[str, str]:
        """Return the row of the copy in the table of expectations."""
        complete = [name for name, share in self.remaining.items() if share == 1]
        expected = [name for name, share in self.remaining.items() if share >= EXPECTED_SHARE]
        cut = [f"{name}:{share:.2f}" for name, share in self.remaining.items() if share < 1]
        return {
            "case": case_name(subject, self.below),
            "set": "blank",
            "subject": subject,
            "blank_below": self.below.name,
            "blank_mm": f"{self.blank_mm:.1f}",
            "complete": " ".join(complete),
            "expected": " ".join(expected),
            "cut": " ".join(cut),
        }


def case_name(subject: str, below: Vertebra) -> str:
    """Return the stem of a copy's files."""
    return f"{subject}-above-{below.name}"


def blanked_cases(ct: CtVolume, labels: LabelVolume) -> Iterator[BlankedCase]:
    """Yield a copy for each level from C3 to T1 that the labels have, C3 first.

    Parameters
    ----------
    ct : CtVolume
        The complete image.
    labels : LabelVolume
        A model's labels of it, or a reader's.

    Raises
    ------
    InputError
        If image and labels lie on different grids.
    """
    if not ct.grid.is_close(labels.grid, tolerance_mm=0.1):
        raise InputError("image and labels lie on different grids", advice="Give labels on the voxels of the image.")
    change = reorientation(ct.affine_lps, "LPS")
    affine = change.grid(ct.grid).affine_lps
    hu, known = change.apply(ct.hu_zyx), vertebrae_only(change.apply(labels.labels_zyx))
    height_mm = change.grid(ct.grid).spacing_xyz[2]
    total = np.bincount(known.ravel(), minlength=256)
    for level in BLANK_BELOW:
        rows = np.flatnonzero((known == level.label).any(axis=(1, 2)))
        if not rows.size:
            continue
        end = int(rows[0])
        image: NDArray[Any] = hu.copy()
        part = known.copy()
        image[:end] = hu.min()
        part[:end] = 0
        left = np.bincount(part.ravel(), minlength=256)
        remaining = {
            other.name: float(left[other.label] / total[other.label]) for other in CERVICAL_LEVELS if left[other.label]
        }
        yield BlankedCase(level, CtVolume(image, affine), LabelVolume(part, affine), end * height_mm, remaining)
