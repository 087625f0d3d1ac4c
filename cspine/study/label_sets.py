"""The vertebrae that a model predicts, by label set, numbered as its network numbers them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cspine.core.anatomy import CERVICAL_LEVELS, FULL_SPINE_LEVELS, SACRUM, VERTEBRAE, Vertebra, rank
from cspine.core.errors import UsageError
from cspine.core.volumes import LabelArray, relabelled

#: Names of the auxiliary classes: what lies next below a set's last level and must not be confused with it.
BELOW, SACRUM_NAME = "T2 and below", "sacrum"


@dataclass(frozen=True)
class LabelSet:
    """Classes of a network.

    Parameters
    ----------
    name : str
        ``"cervical"`` or ``"full-spine"``.
    levels : tuple of Vertebra
        Head to foot; network labels 1, 2, 3 ...
    auxiliary : str
        Name of the class after them, empty for none.
    """

    name: str
    levels: tuple[Vertebra, ...]
    auxiliary: str = ""

    def network_labels(self) -> dict[str, int]:
        """Return dataset.json's labels: background, each level, the auxiliary class."""
        names = ["background", *(level.name for level in self.levels), *([self.auxiliary] if self.auxiliary else [])]
        return {name: number for number, name in enumerate(names)}

    def to_network(self, labels_zyx: LabelArray) -> NDArray[np.uint8]:
        """Turn labels of `cspine.core.anatomy` (and 26, the sacrum) into the network's.

        What the set does not have becomes background; what lies below its last level becomes the auxiliary class,
        where there is one.

        Parameters
        ----------
        labels_zyx : ndarray, shape (z, y, x)
            Labels with the numbers of VerSe, 0 for background.

        Returns
        -------
        ndarray of uint8, shape (z, y, x)
            Classes of the network: 1 for the first level of the set.
        """
        numbers = {level.label: number for number, level in enumerate(self.levels, 1)}
        if self.auxiliary:
            below = VERTEBRAE[rank(self.levels[-1].label) + 1 :]
            numbers |= {label: len(self.levels) + 1 for label in (*(level.label for level in below), SACRUM)}
        return relabelled(labels_zyx, numbers)

    def to_anatomy(self, network_zyx: NDArray[np.uint8]) -> LabelArray:
        """Turn the network's labels into those of `cspine.core.anatomy`; the auxiliary class becomes background.

        Parameters
        ----------
        network_zyx : ndarray of uint8, shape (z, y, x)
            Classes of the network.

        Returns
        -------
        ndarray of uint8, shape (z, y, x)
            Labels with the numbers of VerSe.
        """
        return relabelled(network_zyx, {number: level.label for number, level in enumerate(self.levels, 1)})


_LEVELS = {"cervical": (CERVICAL_LEVELS, BELOW), "full-spine": (FULL_SPINE_LEVELS, SACRUM_NAME)}
#: Names of the label sets.
LABEL_SETS = tuple(_LEVELS)


def label_set(name: str, auxiliary: bool = False) -> LabelSet:
    """Return a label set: ``"cervical"`` is C1..T1, ``"full-spine"`` is C1..L6 with T13.

    Parameters
    ----------
    name : str
        One of `LABEL_SETS`.
    auxiliary : bool
        True to add the class of what lies below: "T2 and below", or the sacrum.

    Raises
    ------
    UsageError
        For another name.
    """
    if name not in _LEVELS:
        raise UsageError(f"there is no label set {name!r}", advice=f"Give one of: {', '.join(LABEL_SETS)}.")
    levels, below = _LEVELS[name]
    return LabelSet(name, levels, below if auxiliary else "")


def label_set_of(labels: dict[str, int]) -> LabelSet | None:
    """Return the label set whose network labels these are, or None where they are no set's.

    Parameters
    ----------
    labels : dict of str to int
        ``labels`` of a dataset.json.
    """
    for name in LABEL_SETS:
        for auxiliary in (False, True):
            known = label_set(name, auxiliary)
            if known.network_labels() == labels:
                return known
    return None
