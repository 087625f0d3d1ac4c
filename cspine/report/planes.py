"""Planes that follow the column, for pictures: where it passes, and where its bodies are fullest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def body_centre(labels_zyx: NDArray[np.uint8], label: int, step_y_mm: float) -> tuple[float, float, float]:
    """Return the centroid of a vertebra, with y moved to where a coronal plane shows most of it: its body.

    Parameters
    ----------
    labels_zyx : ndarray of uint8, shape (z, y, x)
        Labels.
    label : int
        Label of the vertebra.
    step_y_mm : float
        Millimetres a step along y.

    Returns
    -------
    tuple of float
        Indices z, y, x.
    """
    index = np.argwhere(labels_zyx == label)
    z, _, x = index.mean(axis=0)
    counts = np.bincount(index[:, 1], minlength=labels_zyx.shape[1]).astype(np.float64)
    width = max(1, round(6.0 / step_y_mm))
    fullest = int(np.argmax(np.convolve(counts, np.ones(width), mode="same")))
    return float(z), float(fullest), float(x)


def curve(centres_zyx: NDArray[np.float64], axis: int, shape_zyx: tuple[int, ...]) -> NDArray[np.intp]:
    """Return, for each z, the index on an axis where the column passes; constant beyond its ends.

    Parameters
    ----------
    centres_zyx : ndarray, shape (levels, 3)
        From `body_centre`.
    axis : int
        1 for y, 2 for x.
    shape_zyx : tuple of int
        Shape of the image.
    """
    order = np.argsort(centres_zyx[:, 0], kind="stable")
    place = np.interp(np.arange(shape_zyx[0]), centres_zyx[order, 0], centres_zyx[order, axis])
    return np.asarray(np.clip(np.rint(place), 0, shape_zyx[axis] - 1), dtype=np.intp)
