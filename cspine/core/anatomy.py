"""Levels of the spine with their labels, SNOMED CT codes, colours and the names that data sets give them.

No other module contains a label number. cspine uses the VerSe numbers throughout (1..7 = C1..C7, 8..19 = T1..T12,
20..25 = L1..L6, 28 = T13).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from cspine.core.errors import UsageError


class Region(StrEnum):
    """A region of the spine, with the letter that its levels start with."""

    CERVICAL = "C"
    THORACIC = "T"
    LUMBAR = "L"


#: SNOMED CT codes of the regions of the vertebral column, with their meanings.
REGION_CODES: dict[Region, tuple[str, str]] = {
    Region.CERVICAL: ("122494005", "Cervical spine"),
    Region.THORACIC: ("122495006", "Thoracic spine"),
    Region.LUMBAR: ("122496007", "Lumbar spine"),
}

#: (123037004, SCT, "Anatomical Structure"): the segmented property category of every vertebra.
CATEGORY_CODE = ("123037004", "Anatomical Structure")

#: (51282000, SCT, "Vertebra"): for levels that have no code of their own (L6, T13).
GENERIC_VERTEBRA_CODE = ("51282000", "Vertebra")


@dataclass(frozen=True)
class Vertebra:
    """A level of the spine.

    Parameters
    ----------
    label : int
        VerSe number.
    name : str
        Level, for example ``"C3"``.
    sct_code : str
        SNOMED CT code of the vertebra (pydicom's CID 7603), or of "Vertebra" if the level has none.
    sct_meaning : str
        Meaning of that code.
    rgb : tuple of int
        Recommended display colour, 0..255; adjacent colours differ for colour-blind people.
    """

    label: int
    name: str
    sct_code: str
    sct_meaning: str
    rgb: tuple[int, int, int]

    @property
    def region(self) -> Region:
        """Region of the level."""
        return Region(self.name[0])

    @property
    def has_own_code(self) -> bool:
        """Whether SNOMED CT has a code for the level; it has none for L6 and T13."""
        return self.sct_code != GENERIC_VERTEBRA_CODE[0]


# Okabe-Ito and purple: one colour for each of eight neighbours, repeated down the spine.
_PALETTE = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
    (148, 103, 189),
)

_SCT = {
    "C1": "14806007",
    "C2": "39976000",
    "C3": "113205007",
    "C4": "5329002",
    "C5": "36978003",
    "C6": "36054005",
    "C7": "87391001",
    "T1": "64864005",
    "T2": "53733008",
    "T3": "1626008",
    "T4": "73071006",
    "T5": "56401006",
    "T6": "45296009",
    "T7": "62487009",
    "T8": "11068009",
    "T9": "82687006",
    "T10": "7610001",
    "T11": "12989004",
    "T12": "23215003",
    "L1": "66794005",
    "L2": "14293000",
    "L3": "36470004",
    "L4": "11994002",
    "L5": "49668003",
}

# Head to foot; T13 is between T12 and L1 whatever its number.
_ORDER = (
    [(f"C{i}", i) for i in range(1, 8)]
    + [(f"T{i}", 7 + i) for i in range(1, 13)]
    + [("T13", 28)]
    + [(f"L{i}", 19 + i) for i in range(1, 7)]
)


def _build(index: int, name: str, label: int) -> Vertebra:
    code, meaning = (_SCT[name], f"{name} vertebra") if name in _SCT else GENERIC_VERTEBRA_CODE
    return Vertebra(label, name, code, meaning, _PALETTE[index % len(_PALETTE)])


#: Every level, from head to foot.
VERTEBRAE: tuple[Vertebra, ...] = tuple(_build(i, name, label) for i, (name, label) in enumerate(_ORDER))

_BY_LABEL = {v.label: v for v in VERTEBRAE}
_BY_NAME = {v.name: v for v in VERTEBRAE}
_RANK = {v.label: i for i, v in enumerate(VERTEBRAE)}

#: Levels of the cervical models: C1..C7 and T1.
CERVICAL_LEVELS: tuple[Vertebra, ...] = tuple(_BY_LABEL[i] for i in range(1, 9))

#: Levels of the full-spine models: C1..L6, including T13.
FULL_SPINE_LEVELS: tuple[Vertebra, ...] = VERTEBRAE

#: Levels above others that not every patient has: there are 11 to 13 thoracic vertebrae.
_OPTIONAL = frozenset({"T12", "T13"})

#: Levels that not every patient has: their absence is not reported.
OPTIONAL_LEVELS = frozenset({"T13", "L6"})

#: VerSe number of the sacrum, which is not a level.
SACRUM = 26


def vertebra(key: int | str) -> Vertebra:
    """Return the level of a VerSe number or of a name such as ``"C3"``.

    Parameters
    ----------
    key : int or str
        A label with the numbers of VerSe, or the name of a level.

    Raises
    ------
    KeyError
        If no level has this number or name.

    Examples
    --------
    >>> vertebra("T1").label, vertebra(28).name
    (8, 'T13')
    """
    return _BY_LABEL[key] if isinstance(key, int) else _BY_NAME[key]


def rank(label: int) -> int:
    """Return the index of a label from head to foot: 0 is C1; T13 is between T12 and L1.

    Parameters
    ----------
    label : int
        Label of a level, with the numbers of VerSe.

    Raises
    ------
    KeyError
        If no level has this label.
    """
    return _RANK[label]


def levels_between(first: str, last: str) -> tuple[Vertebra, ...]:
    """Return the levels from one to another, both included, from head to foot.

    Parameters
    ----------
    first, last : str
        Names, for example ``"C1"`` and ``"T1"``.

    Raises
    ------
    KeyError
        If no level has this name.
    ValueError
        If the last is above the first.
    """
    start, stop = rank(vertebra(first).label), rank(vertebra(last).label)
    if stop < start:
        raise ValueError(f"{last} lies above {first}")
    return VERTEBRAE[start : stop + 1]


def steps_between(upper: int, lower: int) -> tuple[int, int]:
    """Return the smallest and the largest number of steps from a level down to another.

    Parameters
    ----------
    upper, lower : int
        Labels, the first one nearer to the head. From T12 to L1 there is one step, or two with T13 between; from T11 to
        L1 there may also be one, because some patients have 11 thoracic vertebrae.
    """
    most = rank(lower) - rank(upper)
    between = VERTEBRAE[rank(upper) + 1 : rank(lower)]
    return most - sum(level.name in _OPTIONAL for level in between), most


def may_follow(upper: int, lower: int) -> bool:
    """Return whether a level can be the next one below another, all levels between being optional.

    Parameters
    ----------
    upper, lower : int
        Labels of the level nearer the head and of the level nearer the feet.
    """
    return steps_between(upper, lower)[0] == 1


def is_full_spine(levels: Iterable[Vertebra]) -> bool:
    """Return whether some of the levels are below T1, as for a full-spine model.

    Parameters
    ----------
    levels : iterable of Vertebra
        Levels of a model or of labels.
    """
    last = rank(_BY_NAME["T1"].label)
    return any(rank(level.label) > last for level in levels)


def parse_levels(text: str) -> tuple[Vertebra, ...]:
    """Return the levels that a text of a user denotes, from head to foot.

    Parameters
    ----------
    text : str
        Levels and ranges, both ends included: ``"C1-T1"``, ``"C3-C7,L1-L5"``, ``"t12"``.

    Raises
    ------
    UsageError
        If a part is neither a level nor a range, or a range ends above its start.

    Examples
    --------
    >>> [level.name for level in parse_levels("T12-L1")]
    ['T12', 'T13', 'L1']
    """
    labels: set[int] = set()
    for part in text.split(","):
        ends = [parse_name(end) for end in part.split("-")]
        if len(ends) > 2 or not ends or any(end is None for end in ends):
            raise UsageError(f"levels {text!r}: {part.strip()!r} is neither a level nor a range", advice=_LEVELS_ADVICE)
        first, last = (end.name for end in (ends[0], ends[-1]) if end is not None)
        try:
            labels |= {level.label for level in levels_between(first, last)}
        except ValueError as error:
            raise UsageError(f"levels {text!r}: {error}", advice=_LEVELS_ADVICE) from error
    return tuple(level for level in VERTEBRAE if level.label in labels)


def as_levels(levels: str | Iterable[Vertebra | str]) -> tuple[Vertebra, ...]:
    """Return levels that are given as a text or one by one, from head to foot.

    Parameters
    ----------
    levels : str or iterable of Vertebra or str
        A text as `parse_levels` takes it, or levels, names and ranges.

    Raises
    ------
    UsageError
        If one is neither a level nor a range, or there is none.

    Examples
    --------
    >>> [level.name for level in as_levels(("C3", vertebra("T1"), "C4-C5"))]
    ['C3', 'C4', 'C5', 'T1']
    """
    if isinstance(levels, str):
        return parse_levels(levels)
    try:
        named = [level.name if isinstance(level, Vertebra) else level for level in levels]
        return parse_levels(",".join(named))
    except TypeError as error:
        raise UsageError(f"{levels!r} are not levels", advice=_LEVELS_ADVICE) from error


_LEVELS_ADVICE = "Name levels from head to foot, for example C1-T1 or C3-C7,L1-L5."


def levels_text(levels: Iterable[Vertebra]) -> str:
    """Return the shortest text that `parse_levels` parses to these levels.

    Parameters
    ----------
    levels : iterable of Vertebra
        Levels in any order; the text runs from head to foot.

    Examples
    --------
    >>> levels_text(parse_levels("C3,C4,C5,L1"))
    'C3-C5,L1'
    """
    wanted = {level.label for level in levels}
    runs: list[list[Vertebra]] = []
    for before, level in zip((None, *VERTEBRAE), VERTEBRAE, strict=False):
        if level.label in wanted:
            if before is None or before.label not in wanted:
                runs.append([])
            runs[-1].append(level)
    return ",".join(run[0].name if len(run) == 1 else f"{run[0].name}-{run[-1].name}" for run in runs)


# "C1", "vertebrae_C1", "vertebra-c1", "C1 vertebra", "c_1": spellings of public data sets.
_NAME_PATTERN = re.compile(
    r"^(?:vertebrae?|vert)?[\s_-]*([CTL])[\s_-]*0?(\d{1,2})(?:[\s_-]*vertebrae?)?$", re.IGNORECASE
)


def parse_name(text: str) -> Vertebra | None:
    """Return the level that a label name of a data set denotes, or None if it denotes none.

    Parameters
    ----------
    text : str
        For example ``"C1"``, ``"vertebrae_C1"`` (TotalSegmentator), ``"c1 vertebra"``.

    Examples
    --------
    >>> parse_name("vertebrae_C1").name
    'C1'
    >>> parse_name("sacrum") is None
    True
    """
    match = _NAME_PATTERN.match(text.strip())
    if match is None:
        return None
    return _BY_NAME.get(f"{match[1].upper()}{int(match[2])}")
