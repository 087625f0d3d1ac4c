"""Bits above (0028,0101) *Bits Stored*: parts of the value, or an overlay that an older system stored in them.

Scanners and converters store values that need more bits than they state; up to 2004, overlays were stored there too,
and de-identification may remove the group that declares them. At the edge of a region with such bits, a value continues
that of the neighbours, while an overlay interrupts it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

Stored = NDArray[np.integer]


@dataclass(frozen=True)
class BitEvidence:
    """What the upper bits of a slice are.

    Parameters
    ----------
    pixels : int
        Pixels with upper bits.
    overlay, value : int
        Pairs of neighbours, one of them with upper bits, whose values are closer without and with these bits.
    declared : bool
        True if the header declares an overlay in them.
    """

    pixels: int = 0
    overlay: int = 0
    value: int = 0
    declared: bool = False


def bit_evidence(stored_yx: Stored, dataset: Dataset, padding_yx: NDArray[np.bool_] | None = None) -> BitEvidence:
    """Return what the upper bits of a slice are.

    Parameters
    ----------
    stored_yx : ndarray of integers, shape (y, x)
        Stored values with all their bits.
    dataset : Dataset
        The instance.
    padding_yx : ndarray of bool, shape (y, x), optional
        Pixels that the header declares as padding: they are neither values nor an overlay.
    """
    image = np.ones(stored_yx.shape, bool) if padding_yx is None else ~padding_yx
    inside = without_upper_bits(stored_yx, int(dataset.BitsStored))
    upper = (inside != stored_yx) & image
    pixels = int(upper.sum())
    if not pixels:
        return BitEvidence()
    overlay = value = 0
    for axis in (0, 1):
        first, second = _pairs(upper, axis)
        edge = (first != second) & np.logical_and(*_pairs(image, axis))
        with_bits, without = (np.abs(np.diff(v.astype(np.int64), axis=axis))[edge] for v in (stored_yx, inside))
        overlay += int((without < with_bits).sum())
        value += int((without > with_bits).sum())
    return BitEvidence(pixels, overlay, value, _declares_overlay(dataset))


def is_overlay(slices: Iterable[BitEvidence]) -> bool:
    """Return whether the upper bits of a series are those of an overlay.

    Parameters
    ----------
    slices : iterable of BitEvidence
        What each slice says about its bits above *Bits Stored*.
    """
    evidence = list(slices)
    if any(each.declared for each in evidence):
        return True
    return sum(each.overlay for each in evidence) > sum(each.value for each in evidence)


def without_upper_bits(stored_yx: Stored, bits_stored: int) -> Stored:
    """Return stored values without the bits above *Bits Stored*, the sign extended.

    Parameters
    ----------
    stored_yx : ndarray of int or uint, shape (rows, columns)
        Stored values of a slice.
    bits_stored : int
        (0028,0101) *Bits Stored*.
    """
    spare = stored_yx.dtype.itemsize * 8 - bits_stored
    if spare <= 0:
        return stored_yx
    return np.asarray((stored_yx << spare) >> spare)


def _pairs(array: NDArray[np.bool_], axis: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    return (array[:-1], array[1:]) if axis == 0 else (array[:, :-1], array[:, 1:])


def _declares_overlay(dataset: Dataset) -> bool:
    """Return whether (60xx,0102) *Overlay Bit Position* names a bit of the pixels."""
    positions = ((group, 0x0102) for group in range(0x6000, 0x6020, 2))
    return any(tag in dataset and dataset[tag].value for tag in positions)
