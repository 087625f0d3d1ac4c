"""The two most probable classes at and near vertebrae, on the network's grid, and what they say of each level."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cspine.core.geometry import Affine, Grid, Shape3
from cspine.core.volumes import LabelVolume
from cspine.inference.preprocess import NetworkImage
from cspine.inference.threads import each

#: Label of the auxiliary classes in a field; no vertebra has it.
OTHER = 255
#: Log odds of the best class against the background from which on a voxel is kept: a probability of about 2 %.
_MIN_LOG_ODDS = -4.0
#: Voxels that are looked up at a time.
_CHUNK = 500_000

Classes = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class ProbabilityField:
    """The two most probable classes of the voxels at and near vertebrae, before any cleaning.

    Parameters
    ----------
    shape_zyx : tuple of int
        Shape of the network's grid.
    affine_lps : ndarray, shape (4, 4)
        Index (x, y, z) of that grid to millimetres in LPS.
    voxels : ndarray of int64, shape (n,)
        Flat indices of the voxels that are kept.
    labels : ndarray of uint8, shape (2, n)
        The most and the second most probable label of each; 0 is background, `OTHER` an auxiliary class.
    probabilities : ndarray of float32, shape (2, n)
        Their probabilities.
    """

    shape_zyx: Shape3
    affine_lps: Affine
    voxels: NDArray[np.int64]
    labels: Classes
    probabilities: NDArray[np.float32]

    def of(self, label: int) -> NDArray[np.float32]:
        """Return the probability of a label at each kept voxel, shape (n,); 0 where it is third or less."""
        return np.asarray(np.where(self.labels == label, self.probabilities, 0).sum(axis=0), dtype=np.float32)

    def sampled(self, labels: LabelVolume) -> Classes:
        """Return the label of an image at each kept voxel, shape (n,): of its nearest voxel, 0 outside."""
        to_image = np.linalg.inv(labels.affine_lps) @ self.affine_lps
        found = np.zeros(len(self.voxels), dtype=np.uint8)
        size = np.array(labels.labels_zyx.shape)
        for start in range(0, len(self.voxels), _CHUNK):
            part = slice(start, start + _CHUNK)
            index_zyx = np.stack(np.unravel_index(self.voxels[part], self.shape_zyx), axis=1)
            at = np.rint(index_zyx[:, ::-1] @ to_image[:3, :3].T + to_image[:3, 3]).astype(np.int64)[:, ::-1]
            inside = ((at >= 0) & (at < size)).all(axis=1)
            z, y, x = at[inside].T
            found[part][inside] = labels.labels_zyx[z, y, x]
        return found


class FieldCollector:
    """Keeps the two most probable classes from logits that come slab by slab.

    Parameters
    ----------
    levels : ndarray of uint8, shape (classes,)
        Label of each class of the network; `OTHER` for auxiliary ones.
    """

    def __init__(self, levels: Classes) -> None:
        self._levels = levels
        self._slices = 0
        self._parts: list[tuple[NDArray[np.int64], Classes, NDArray[np.float32]]] = []

    def passing(self, slabs: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        """Yield each slab, shape (classes, z, y, x), after it was looked at."""
        for slab in slabs:
            self.add(slab)
            yield slab

    def add(self, logits: NDArray[np.float32]) -> None:
        """Look at the next slices, shape (classes, z, y, x)."""
        first, plane = self._slices, logits.shape[2] * logits.shape[3]

        def look(z: int) -> tuple[NDArray[np.int64], Classes, NDArray[np.float32]]:
            here, order, probability = _two_best(logits[:, z].reshape(len(logits), -1))
            return here + (first + z) * plane, self._levels[order], probability

        self._parts += each(look, range(logits.shape[1]))
        self._slices += logits.shape[1]

    def field(self, image: NetworkImage, order: tuple[int, int, int], grid: Grid) -> ProbabilityField:
        """Return the field once all slices were looked at.

        Parameters
        ----------
        image : NetworkImage
            Input of the network.
        order : tuple of int
            Axis of the image, (z, y, x), of each axis of the network's array.
        grid : Grid
            Of the image in the orientation of the model.
        """
        none = (np.empty(0, np.int64), np.empty((2, 0), np.uint8), np.empty((2, 0), np.float32))
        voxels, labels, probabilities = zip(*(self._parts or [none]), strict=True)
        z, y, x = image.values.shape
        return ProbabilityField(
            (z, y, x),
            _network_affine(image, order, grid.affine_lps),
            np.concatenate(voxels),
            np.concatenate(labels, axis=1),
            np.concatenate(probabilities, axis=1),
        )


def _two_best(logits: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Return of logits (classes, n) the kept indices, (m,), with their two best classes and probabilities, (2, m)."""
    kept = np.flatnonzero(logits[1:].max(axis=0) - logits[0] > _MIN_LOG_ODDS)
    powers = logits[:, kept]
    powers = np.exp(powers - powers.max(axis=0))
    powers /= powers.sum(axis=0)
    order = np.argpartition(-powers, 1, axis=0)[:2]
    best = np.take_along_axis(powers, order, axis=0)
    swapped = best[1] > best[0]
    order[:, swapped], best[:, swapped] = order[::-1, swapped], best[::-1, swapped]
    return kept, order, best.astype(np.float32)


def _network_affine(image: NetworkImage, order: tuple[int, int, int], affine_lps: Affine) -> Affine:
    """Return the affine of the network's array: voxels of both grids cover the same box."""
    shift, turn = np.eye(4), np.zeros((4, 4))
    turn[3, 3] = 1.0
    for axis in range(3):
        step = image.box_shape[axis] / image.network_shape[axis]
        first = 0 if image.part is None else image.part.network_box[axis].start
        turn[2 - order[axis], 2 - axis] = step
        shift[2 - order[axis], 3] = image.box[axis].start + step * (first + 0.5) - 0.5
    return np.asarray(affine_lps @ shift @ turn, dtype=np.float64)


@dataclass(frozen=True)
class Evidence:
    """What the probabilities say of a level of the result.

    Parameters
    ----------
    soft_dice : float
        Expected Dice coefficient, if the probabilities were right.
    confusion : float
        Mean probability, over its voxels, that they belong to another level.
    """

    soft_dice: float
    confusion: float


def evidence_of(field: ProbabilityField, labels: LabelVolume) -> dict[int, Evidence]:
    """Return the evidence of each level of a result, by label.

    Parameters
    ----------
    field : ProbabilityField
        Of the network.
    labels : LabelVolume
        The cleaned labels. A level that postprocessing renamed has the evidence of the new name.

    Returns
    -------
    dict of int to Evidence
        A level of which no voxel was kept has none.
    """
    final = field.sampled(labels)
    removed = (final == 0) & (field.labels[0] != 0)
    vertebra = np.where(field.labels == 0, 0, field.probabilities).sum(axis=0)
    found = {}
    for label in (int(value) for value in np.unique(final) if value):
        inside, probability = final == label, field.of(label)
        own = float(probability[inside].sum())
        everywhere = float(probability[~removed].sum())
        count = int(np.count_nonzero(inside))
        confusion = float((vertebra[inside] - probability[inside]).sum()) / count
        found[label] = Evidence(2 * own / (count + everywhere), max(confusion, 0.0))
    return found
