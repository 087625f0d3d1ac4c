"""The joints of one neck and their wear: gaps, bony growth, sclerosis, vacuum; each side on its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

#: Labels of the atlas's vertebrae end below this.
_LABELS = 32
#: What lies in front of this, in the frame of the nearest bone, is the disc; behind it are the facet joints.
FACET_Y_MM = 10.0
DISC, LEFT, RIGHT = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Joints:
    """Tables of all joints; row: label of the upper vertebra; column: disc, left facets, right facets.

    Parameters
    ----------
    gap_mm : ndarray of float32, shape (levels, 3)
        Least distance of the two bones; 0 where they touch or have grown together.
    growth_mm : ndarray of float32
        How far the surfaces that face each other have grown.
    sclerosis : ndarray of float32
        Share of dense bone beside the joint, 0 to 1.
    sclerosis_mm : ndarray of float32
        How deep it reaches.
    sclerosis_hu : ndarray of float32
        Its Hounsfield units.
    vacuum : ndarray of bool
        True where gas lies in the joint.
    bridged : ndarray of bool
        True where bone fills the joint.
    """

    gap_mm: np.ndarray
    growth_mm: np.ndarray
    sclerosis: np.ndarray
    sclerosis_mm: np.ndarray
    sclerosis_hu: np.ndarray
    vacuum: np.ndarray
    bridged: np.ndarray


def values_at(table: np.ndarray, upper: torch.Tensor, joint: torch.Tensor) -> torch.Tensor:
    """Return the values of one of the tables of `Joints` at voxels.

    Parameters
    ----------
    table : ndarray, shape (levels, 3)
        The table.
    upper, joint : Tensor, shape (n,)
        Label of the upper vertebra and joint of each voxel.
    """
    return torch.from_numpy(table.astype(np.float32))[upper.long(), joint.long()]


def random_joints(rng: np.random.Generator, worn: float) -> Joints:
    """Draw the joints of a patient.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    worn : float
        Probability that a joint is worn; wear clusters at C3 to C7 and on one side.
    """
    shape = (_LABELS, 3)
    gap = rng.uniform(0.5, 2.0, size=shape)
    gap[:, DISC] = rng.uniform(1.2, 3.5, size=_LABELS)
    growth, share = np.zeros(shape), np.zeros(shape)
    vacuum, bridged = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    favoured = rng.permutation([1.0, rng.uniform(0.1, 1.0)])
    for label in range(1, 12):
        for joint in (DISC, LEFT, RIGHT):
            often = worn * (favoured[joint - 1] if joint else 0.7) * (0.5 if label in (1, 2) or label > 7 else 1.0)
            if rng.random() >= often:
                continue
            much = float(rng.uniform(0.2, 1.0))
            gap[label, joint] = rng.uniform(0, 0.8) * (1.5 if joint == DISC else 1.0)
            growth[label, joint] = much * rng.uniform(0.2, 1.6)
            share[label, joint] = rng.uniform(0.3, 1.0)
            vacuum[label, joint] = rng.random() < 0.15
            bridged[label, joint] = joint != DISC and label > 1 and rng.random() < 0.12
    gap[bridged] = 0.0
    return Joints(
        gap, growth, share, rng.uniform(1.5, 5.0, size=shape), rng.uniform(600, 1400, size=shape), vacuum, bridged
    )
