"""Agreement of two label images, level by level: overlap, surfaces, volumes, and whether each vertebra has its level.

docs/guide/evaluation.md has the definitions; the tests compare them with MONAI, MedPy and surface-distance.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cspine.core.anatomy import VERTEBRAE, Vertebra
from cspine.core.errors import InputError
from cspine.core.geometry import to_lps
from cspine.core.shape import label_boxes, occupied_box, vertebrae_only
from cspine.core.volumes import LabelVolume
from cspine.study.evaluation.surfaces import Distances, Mask, border_points, distances_between

_GRID_ADVICE = "Give labels on the grid of the reference: the same voxels at the same positions."

#: A vertebra is identified where the nearest centroid of the prediction has its level and lies within so much (VerSe).
IDENTIFIED_WITHIN_MM = 20.0


@dataclass(frozen=True)
class Score:
    """Agreement at one level that the reference or the prediction has.

    Parameters
    ----------
    level : str
        Name of the vertebra.
    dice : float
        0 where only one of the two images has the level.
    hd95_mm, assd_mm : float or None
        95th percentile of the Hausdorff distance, and mean distance, of the surfaces (`surfaces.SurfaceDistances`);
        None where only one image has the level.
    reference_ml, predicted_ml : float
        Volumes; 0 where the image lacks the level.
    identified : bool or None
        True where the vertebra is identified as VerSe defines it; None where the reference lacks the level.
    centroid_distance_mm : float or None
        Between the centroids of the level's voxels; None where only one image has it.
    given_to_neighbour : float or None
        Share of the reference's voxels of the level that carry the label of the level above or below; None where the
        reference lacks the level.
    """

    level: str
    dice: float
    hd95_mm: float | None
    assd_mm: float | None
    reference_ml: float
    predicted_ml: float
    identified: bool | None
    centroid_distance_mm: float | None
    given_to_neighbour: float | None = None

    @property
    def volume_error_ml(self) -> float:
        """Return the predicted volume minus that of the reference."""
        return self.predicted_ml - self.reference_ml

    @property
    def missed(self) -> bool:
        """Return True where the reference has the level and the prediction lacks it."""
        return self.predicted_ml == 0

    @property
    def false(self) -> bool:
        """Return True where the prediction has the level and the reference lacks it."""
        return self.reference_ml == 0


@dataclass(frozen=True, eq=False)
class _Region:
    """A level in one image: its mask within the smallest box around it."""

    box: tuple[slice, slice, slice]
    mask: Mask
    voxels: int
    centroid_lps: NDArray[np.float64]

    def surface(self, spacing_zyx: tuple[float, ...]) -> Distances:
        return border_points(self.mask, [part.start for part in self.box], spacing_zyx)


def score_levels(reference: LabelVolume, prediction: LabelVolume, levels: Iterable[Vertebra]) -> list[Score]:
    """Compare two label images on the same grid.

    Parameters
    ----------
    reference, prediction : LabelVolume
        Labels of `cspine.core.anatomy`; numbers that no level has count as background.
    levels : iterable of Vertebra
        Levels to compare.

    Returns
    -------
    list of Score
        One for each of the levels that at least one of the images has, in the order given.

    Raises
    ------
    InputError
        If the grids differ.
    """
    reference, prediction = within_their_box(reference, prediction)
    wanted, found = _regions(reference), _regions(prediction)
    scores = []
    for level in levels:
        mine, theirs = wanted.get(level.label), found.get(level.label)
        if mine is None and theirs is None:
            continue
        nearest = _nearest(mine, found) if mine is not None else None
        score = Score(
            level=level.name,
            dice=0.0,
            hd95_mm=None,
            assd_mm=None,
            reference_ml=_millilitres(mine, reference),
            predicted_ml=_millilitres(theirs, prediction),
            identified=None if mine is None else nearest == level.label,
            centroid_distance_mm=None,
            given_to_neighbour=None if mine is None else _given_to_neighbour(mine, prediction, level),
        )
        scores.append(_with_both(score, mine, theirs, reference) if mine is not None and theirs is not None else score)
    return scores


def within_their_box(reference: LabelVolume, prediction: LabelVolume) -> tuple[LabelVolume, LabelVolume]:
    """Cut both to the box of what either of them labels, without numbers of no level: most of a scan is background.

    Parameters
    ----------
    reference, prediction : LabelVolume
        Labels with the numbers of VerSe on one grid.

    Returns
    -------
    reference, prediction : LabelVolume
        The parts of both within the box.

    Raises
    ------
    InputError
        If the grids differ.
    """
    if not reference.grid.is_close(prediction.grid, tolerance_mm=0.1):
        raise InputError("reference and prediction lie on different grids", advice=_GRID_ADVICE)
    either = np.maximum(reference.labels_zyx, prediction.labels_zyx)
    box = occupied_box(either) or (slice(0, 1), slice(0, 1), slice(0, 1))
    affine = reference.affine_lps.copy()
    affine[:3, 3] += affine[:3, :3] @ [part.start for part in reversed(box)]
    parts = [vertebrae_only(volume.labels_zyx[box]) for volume in (reference, prediction)]
    return LabelVolume(parts[0], affine), LabelVolume(parts[1], affine)


def _regions(volume: LabelVolume) -> dict[int, _Region]:
    regions = {}
    for label, box in label_boxes(volume.labels_zyx).items():
        mask = volume.labels_zyx[box] == label
        index_zyx = np.argwhere(mask)
        centre = index_zyx.mean(axis=0) + [part.start for part in box]
        regions[label] = _Region(box, mask, len(index_zyx), to_lps(volume.affine_lps, centre[None, ::-1])[0])
    return regions


def neighbours(level: Vertebra) -> tuple[Vertebra, ...]:
    """Return the levels directly above and below; T12 and L1 have each other, and T13, as neighbours.

    Parameters
    ----------
    level : Vertebra
        The level.
    """
    place = VERTEBRAE.index(level)
    beside = {VERTEBRAE[i].name for i in (place - 1, place + 1) if 0 <= i < len(VERTEBRAE)}
    beside |= {"T12": {"L1"}, "L1": {"T12"}}.get(level.name, set())
    return tuple(other for other in VERTEBRAE if other.name in beside)


def _given_to_neighbour(mine: _Region, prediction: LabelVolume, level: Vertebra) -> float:
    there = prediction.labels_zyx[mine.box][mine.mask]
    given = np.isin(there, [other.label for other in neighbours(level)])
    return float(np.count_nonzero(given)) / mine.voxels


def _millilitres(region: _Region | None, volume: LabelVolume) -> float:
    return 0.0 if region is None else region.voxels * volume.grid.voxel_mm3 / 1000


def _nearest(mine: _Region, found: dict[int, _Region]) -> int | None:
    """Return the label of the nearest centroid of the prediction; None where there is none near enough."""
    distances = {label: _distance_mm(mine, region) for label, region in found.items()}
    label = min(distances, key=distances.__getitem__, default=None)
    return label if label is not None and distances[label] <= IDENTIFIED_WITHIN_MM else None


def _distance_mm(one: _Region, other: _Region) -> float:
    return float(np.linalg.norm(one.centroid_lps - other.centroid_lps))


def _with_both(score: Score, mine: _Region, theirs: _Region, volume: LabelVolume) -> Score:
    """Fill in what needs the level in both images."""
    spacing_zyx = volume.grid.spacing_xyz[::-1]
    distances = distances_between(mine.surface(spacing_zyx), theirs.surface(spacing_zyx))
    return replace(
        score,
        dice=2 * _shared_voxels(mine, theirs) / (mine.voxels + theirs.voxels),
        hd95_mm=distances.hd95_mm,
        assd_mm=distances.assd_mm,
        centroid_distance_mm=_distance_mm(mine, theirs),
    )


def _shared_voxels(one: _Region, other: _Region) -> int:
    start = [max(a.start, b.start) for a, b in zip(one.box, other.box, strict=True)]
    stop = [min(a.stop, b.stop) for a, b in zip(one.box, other.box, strict=True)]
    if any(a >= b for a, b in zip(start, stop, strict=True)):
        return 0
    views = [
        region.mask[tuple(slice(a - p.start, b - p.start) for a, b, p in zip(start, stop, region.box, strict=True))]
        for region in (one, other)
    ]
    return int(np.count_nonzero(views[0] & views[1]))


#: A reference vertebra counts where at least so much of it is in view.
MIN_REFERENCE_ML = 0.5
#: ... and was missed where less than this share of its voxels carries any level's label.
MIN_LABELLED = 0.2


@dataclass(frozen=True)
class LevelMatch:
    """The level that a prediction gives to a vertebra of the reference.

    Parameters
    ----------
    level : str
        The vertebra.
    predicted : str or None
        The level that covers most of its labelled voxels; None where it was missed.
    """

    level: str
    predicted: str | None

    @property
    def right(self) -> bool:
        """Return True where the level is the vertebra's own."""
        return self.predicted == self.level

    @property
    def wrong(self) -> bool:
        """Return True where it is another vertebra's; a missed vertebra is neither right nor wrong."""
        return self.predicted is not None and not self.right


def match_levels(reference: LabelVolume, prediction: LabelVolume, levels: Iterable[Vertebra]) -> list[LevelMatch]:
    """Return which level a prediction gives to each vertebra of the reference.

    Parameters
    ----------
    reference, prediction : LabelVolume
        Labels of `cspine.core.anatomy` on the same grid; numbers that no level has count as background.
    levels : iterable of Vertebra
        Levels of the reference to look at; those with less than `MIN_REFERENCE_ML` are omitted.

    Returns
    -------
    list of LevelMatch

    Raises
    ------
    InputError
        If the grids differ.
    """
    reference, prediction = within_their_box(reference, prediction)
    boxes = label_boxes(reference.labels_zyx)
    matches = []
    for level in levels:
        if level.label not in boxes:
            continue
        box = boxes[level.label]
        there = prediction.labels_zyx[box][reference.labels_zyx[box] == level.label]
        if there.size * reference.grid.voxel_mm3 < MIN_REFERENCE_ML * 1000:
            continue
        voxels = np.bincount(there, minlength=256)
        counts = {found.name: int(voxels[found.label]) for found in VERTEBRAE}
        labelled = sum(counts.values())
        if labelled < MIN_LABELLED * there.size or not labelled:
            matches.append(LevelMatch(level.name, None))
        else:
            matches.append(LevelMatch(level.name, max(counts, key=counts.__getitem__)))
    return matches
