"""Levels, their numbers, codes, colours and names."""

from __future__ import annotations

from itertools import pairwise

import pytest
from pydicom.sr.codedict import codes

from cspine.core.anatomy import (
    CATEGORY_CODE,
    CERVICAL_LEVELS,
    GENERIC_VERTEBRA_CODE,
    REGION_CODES,
    VERTEBRAE,
    Region,
    Vertebra,
    parse_name,
    rank,
    vertebra,
)

# Verhoeff's dihedral group and its permutation, as SNOMED CT's check digit uses them.
_D5 = [
    [(a + b) % 5 if a < 5 else 5 + (a - b) % 5 for b in range(5)]
    + [5 + (a + b) % 5 if a < 5 else (a - b) % 5 for b in range(5)]
    for a in range(10)
]
_PERMUTATION = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]


def check_digit_holds(code: str) -> bool:
    total = 0
    for index, digit in enumerate(reversed(code)):
        value = int(digit)
        for _ in range(index % 8):
            value = _PERMUTATION[value]
        total = _D5[total][value]
    return total == 0


def test_the_check_digit_is_verhoeffs() -> None:
    assert check_digit_holds("2363")  # the textbook's example
    assert not check_digit_holds("2336")
    assert not check_digit_holds("181839006")  # seen in public code, wrong


def test_numbers_are_those_of_verse() -> None:
    numbers = {level.name: level.label for level in VERTEBRAE}
    assert numbers == (
        {f"C{i}": i for i in range(1, 8)}
        | {f"T{i}": 7 + i for i in range(1, 13)}
        | {f"L{i}": 19 + i for i in range(1, 7)}
        | {"T13": 28}
    )


def test_levels_stand_from_head_to_foot() -> None:
    names = [level.name for level in VERTEBRAE]
    assert names[:8] == [f"C{i}" for i in range(1, 8)] + ["T1"]
    assert names[names.index("T12") :][:3] == ["T12", "T13", "L1"]
    assert [rank(level.label) for level in VERTEBRAE] == list(range(len(VERTEBRAE)))
    assert [level.name for level in CERVICAL_LEVELS] == names[:8]


@pytest.mark.parametrize("level", VERTEBRAE, ids=lambda level: level.name)
def test_codes_are_snomeds(level: Vertebra) -> None:
    assert check_digit_holds(level.sct_code)
    assert level.has_own_code == (level.name not in ("L6", "T13"))
    if level.has_own_code:
        known = getattr(codes.cid7603, f"{level.name}Vertebra")
        assert (known.value, known.scheme_designator, known.meaning) == (level.sct_code, "SCT", level.sct_meaning)
    else:
        assert (level.sct_code, level.sct_meaning) == GENERIC_VERTEBRA_CODE
    assert level.region.value == level.name[0]


def test_codes_of_category_and_regions_are_valid_and_none_is_used_twice() -> None:
    assert set(REGION_CODES) == set(Region)
    for code, _ in (CATEGORY_CODE, GENERIC_VERTEBRA_CODE, *REGION_CODES.values()):
        assert check_digit_holds(code)
    own = [level.sct_code for level in VERTEBRAE if level.has_own_code]
    assert len(set(own)) == len(own) == 24


def test_neighbours_differ_in_colour_and_the_cervical_levels_all_do() -> None:
    assert vertebra("C1").rgb == (230, 159, 0)
    assert vertebra("T1").rgb == (148, 103, 189)
    assert len({level.rgb for level in CERVICAL_LEVELS}) == 8
    assert all(a.rgb != b.rgb for a, b in pairwise(VERTEBRAE))
    assert all(0 <= value <= 255 for level in VERTEBRAE for value in level.rgb)


def test_a_level_is_found_by_number_and_by_name() -> None:
    for level in VERTEBRAE:
        assert vertebra(level.label) is vertebra(level.name) is level
    for key in (0, 26, 27, 29, "C8", "S1", "c1"):
        with pytest.raises(KeyError):
            vertebra(key)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("C1", "C1"),
        ("c7", "C7"),
        ("vertebrae_C1", "C1"),
        ("vertebra-t12", "T12"),
        ("C1 vertebra", "C1"),
        ("c_1", "C1"),
        ("vert L5", "L5"),
        ("VertebraeT01", "T1"),
        (" T13 ", "T13"),
        ("L6", "L6"),
    ],
)
def test_spellings_of_public_data_sets_are_understood(text: str, name: str) -> None:
    assert parse_name(text) is vertebra(name)


@pytest.mark.parametrize(
    "text",
    ["C8", "C0", "T14", "L7", "S1", "sacrum", "T2 and below", "disc C1", "C1-C2", "C", "1", "", "rib_left_1", "CT1"],
)
def test_what_is_no_level_is_none(text: str) -> None:
    assert parse_name(text) is None
