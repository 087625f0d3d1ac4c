"""The measures of a comparison, and the levels and groups of levels over which they are reported."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cspine.core.anatomy import CERVICAL_LEVELS, FULL_SPINE_LEVELS, rank, vertebra
from cspine.study.comparison.reading import ScoreRow


@dataclass(frozen=True)
class Measure:
    """One measure of how well a level is segmented.

    Parameters
    ----------
    key : str
        Column of scores.csv, or what is made of one.
    title : str
        For people, with its unit.
    unit : str
        ``"mm"``, ``"ml"`` or empty.
    digits : int
        Decimals in tables.
    value : callable
        Gets a row of scores.csv; None where the measure is not defined there.
    higher_is_better : bool
        True for Dice.
    """

    key: str
    title: str
    unit: str
    digits: int
    value: Callable[[ScoreRow], float | None]
    higher_is_better: bool = False


def _volume_error(row: ScoreRow) -> float | None:
    return None if row.volume_error_ml is None else abs(row.volume_error_ml)


DICE = Measure("dice", "Dice", "", 3, lambda row: row.dice, higher_is_better=True)
HD95 = Measure("hd95_mm", "HD95 (mm)", "mm", 2, lambda row: row.hd95_mm)
ASSD = Measure("assd_mm", "ASSD (mm)", "mm", 2, lambda row: row.assd_mm)
VOLUME_ERROR = Measure("volume_error_ml", "|volume error| (ml)", "ml", 2, _volume_error)

#: The paper's two measures, which verdicts are given on.
MAIN_MEASURES = (DICE, HD95)
MEASURES = (DICE, HD95, ASSD, VOLUME_ERROR)


@dataclass(frozen=True)
class LevelGroup:
    """A row of the paper's tables: one level, or all from one to another.

    Parameters
    ----------
    name : str
        ``"C3"`` or ``"[C1,T1]"``.
    levels : tuple of str
        Its levels, head to foot.
    """

    name: str
    levels: tuple[str, ...]

    @property
    def single(self) -> bool:
        """Return True for one level."""
        return len(self.levels) == 1


#: The rows over several levels.
CERVICAL = LevelGroup("[C1,T1]", tuple(level.name for level in CERVICAL_LEVELS))
FULL_SPINE = LevelGroup("[C1,L6]", tuple(level.name for level in FULL_SPINE_LEVELS))


def level_groups(levels: Iterable[str]) -> tuple[LevelGroup, ...]:
    """Return the rows of a table: each level head to foot, then [C1,T1], and [C1,L6] where a level lies below T1.

    Parameters
    ----------
    levels : iterable of str
        Names of the levels that are there.
    """
    ordered = sorted(set(levels), key=lambda name: rank(vertebra(name).label))
    groups = [LevelGroup(name, (name,)) for name in ordered]
    cervical = [name for name in ordered if name in CERVICAL.levels]
    if len(cervical) > 1:
        groups.append(CERVICAL)
    if cervical and len(cervical) < len(ordered):
        groups.append(FULL_SPINE)
    return tuple(groups)
