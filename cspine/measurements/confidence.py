"""How much a vertebra of a result can be trusted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Confidence:
    """The confidence in one vertebra, calibrated on cases whose truth is known.

    Parameters
    ----------
    level_probability : float
        Probability that the vertebra has its own level and not a neighbour's.
    expected_dice : float
        Dice coefficient that is to be expected against a reference.
    """

    level_probability: float
    expected_dice: float
