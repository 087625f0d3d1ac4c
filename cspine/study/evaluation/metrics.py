"""Agreement of two label images, level by level: Dice and the 95th percentile of the Hausdorff distance, by MONAI.

And whether each vertebra carries its own level.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from monai.metrics.hausdorff_distance import compute_hausdorff_distance
from monai.metrics.meandice import compute_dice
from numpy.typing import NDArray

from cspine.anatomy import VERTEBRAE, Vertebra
from cspine.errors import InputError
from cspine.volumes import LabelVolume

_MARGIN = 2
_GRID_ADVICE = "Give labels on the grid of the reference: the same voxels at the same place."


@dataclass(frozen=True)
class Score:
    """Agreement at one level.

    Parameters
    ----------
    level : str
        Name of the vertebra.
    dice : float
        0 where only one of the two images has the level; not a number where neither has.
    hd95_mm : float
        Larger of the two directed 95th percentiles of the distance between the surfaces (the border voxels of each
        mask), millimetres; infinite where only one image has the level, not a number where neither has.
    """

    level: str
    dice: float
    hd95_mm: float


def score_levels(reference: LabelVolume, prediction: LabelVolume, levels: Iterable[Vertebra]) -> list[Score]:
    """Compare two label images on the same grid.

    Parameters
    ----------
    reference, prediction : LabelVolume
        Labels of `cspine.anatomy`.
    levels : iterable of Vertebra
        Levels to compare.

    Returns
    -------
    list of Score
        One a level, in the order given.

    Raises
    ------
    InputError
        If the grids differ.
    """
    _refuse_another_grid(reference, prediction)
    return [
        _score(level.name, reference.labels_zyx == level.label, prediction.labels_zyx == level.label, reference)
        for level in levels
    ]


def _refuse_another_grid(reference: LabelVolume, prediction: LabelVolume) -> None:
    if not reference.grid.is_close(prediction.grid, tolerance_mm=0.1):
        raise InputError("reference and prediction lie on different grids", advice=_GRID_ADVICE)


def _score(name: str, wanted: NDArray[np.bool_], found: NDArray[np.bool_], volume: LabelVolume) -> Score:
    if not wanted.any() and not found.any():
        return Score(name, math.nan, math.nan)
    if not wanted.any() or not found.any():
        return Score(name, 0.0, math.inf)
    either = wanted | found
    box = []
    for axis in range(3):
        line = np.flatnonzero(either.any(axis=tuple(i for i in range(3) if i != axis)))
        box.append(slice(max(int(line[0]) - _MARGIN, 0), int(line[-1]) + _MARGIN + 1))
    pair = [torch.from_numpy(np.ascontiguousarray(mask[tuple(box)]))[None, None] for mask in (found, wanted)]
    dice = compute_dice(pair[0].float(), pair[1].float(), include_background=True)
    spacing = list(volume.grid.spacing_xyz[::-1])
    distance = compute_hausdorff_distance(
        pair[0].float(), pair[1].float(), include_background=True, percentile=95, spacing=spacing
    )
    return Score(name, float(dice), float(distance))


#: A reference vertebra counts where at least so much of it is in view.
LEAST_REFERENCE_ML = 0.5
#: ... and was missed where less than this share of its voxels carries any level's label.
LEAST_LABELLED = 0.2


@dataclass(frozen=True)
class LevelMatch:
    """Which level a prediction gives to a vertebra of the reference.

    Parameters
    ----------
    level : str
        The vertebra.
    found : str or None
        The level that covers most of its labelled voxels; None where it was missed.
    """

    level: str
    found: str | None

    @property
    def right(self) -> bool:
        """True where the level is the vertebra's own."""
        return self.found == self.level

    @property
    def wrong(self) -> bool:
        """True where it is another vertebra's; a missed vertebra is neither right nor wrong."""
        return self.found is not None and not self.right


def match_levels(reference: LabelVolume, prediction: LabelVolume, levels: Iterable[Vertebra]) -> list[LevelMatch]:
    """Tell which level a prediction gives to each vertebra of the reference.

    Parameters
    ----------
    reference, prediction : LabelVolume
        Labels of `cspine.anatomy` on the same grid; numbers that no level has count as background.
    levels : iterable of Vertebra
        Levels of the reference to look at; those with less than `LEAST_REFERENCE_ML` are left out.

    Returns
    -------
    list of LevelMatch

    Raises
    ------
    InputError
        If the grids differ.
    """
    _refuse_another_grid(reference, prediction)
    matches = []
    for level in levels:
        there = prediction.labels_zyx[reference.labels_zyx == level.label]
        if there.size * reference.grid.voxel_mm3 < LEAST_REFERENCE_ML * 1000:
            continue
        voxels = np.bincount(there, minlength=256)
        counts = {found.name: int(voxels[found.label]) for found in VERTEBRAE}
        labelled = sum(counts.values())
        if labelled < LEAST_LABELLED * there.size or not labelled:
            matches.append(LevelMatch(level.name, None))
        else:
            matches.append(LevelMatch(level.name, max(counts, key=counts.__getitem__)))
    return matches
