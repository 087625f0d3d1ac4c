"""Codes, exit codes, advice and subjects of all classes of the error tree."""

from __future__ import annotations

import re

import pytest

from cspine.core.errors import CSpineError, Subject, errors_table, every_error

#: Exit code of each family of codes.
_FAMILIES = {
    "INT": 1,
    "USE": 2,
    "IN": 3,
    "SEL": 4,
    "GEO": 5,
    "PIX": 6,
    "MOD": 7,
    "INF": 8,
    "RES": 9,
    "OUT": 10,
    "RUN": 11,
    "SYN": 12,
    "TRN": 13,
    "AUD": 14,
    "RTE": 15,
    "COH": 16,
    "DOC": 17,
    "DAT": 18,
    "CMP": 19,
    "SYS": 20,
}


def _errors() -> list[type[CSpineError]]:
    return [error for error in every_error() if error.__module__.startswith("cspine.core.errors.")]


def test_each_class_is_listed_once_with_a_code_of_its_own() -> None:
    found = _errors()
    assert len(set(found)) == len(found) > 35
    assert len({error.code for error in found}) == len(found)
    assert found[0] is CSpineError


@pytest.mark.parametrize("error", _errors(), ids=lambda error: error.__name__)
def test_code_and_exit_code_belong_together_and_there_is_advice(error: type[CSpineError]) -> None:
    match = re.fullmatch(r"CS-([A-Z]+)-\d{3}", error.code)
    assert match is not None
    assert error.exit_code == _FAMILIES[match[1]]
    assert error.advice.endswith(".")
    assert (error.__doc__ or "").partition("\n")[0].endswith(".")
    assert "|" not in error.advice


def test_each_class_says_its_own_advice() -> None:
    assert [error.__name__ for error in _errors() if not {"code", "advice"} <= vars(error).keys()] == []
    assert len({error.advice for error in _errors()}) == len(_errors())


def test_a_subclass_ends_the_process_like_its_parent() -> None:
    for error in _errors()[1:]:
        for parent in error.__mro__[1:]:
            if issubclass(parent, CSpineError) and parent is not CSpineError:
                assert error.exit_code == parent.exit_code


#: What the errors of a family are about; all others are about the system.
_SUBJECTS = {
    "IN": Subject.FILES,
    "DAT": Subject.FILES,
    "SEL": Subject.IMAGES,
    "GEO": Subject.IMAGES,
    "PIX": Subject.IMAGES,
    "RES": Subject.IMAGES,
}


@pytest.mark.parametrize("error", _errors(), ids=lambda error: error.__name__)
def test_a_family_of_errors_is_about_one_subject(error: type[CSpineError]) -> None:
    family = error.code.split("-")[1]
    if family != "INF":
        assert error.subject is _SUBJECTS.get(family, Subject.SYSTEM)
    assert error("x").is_about_input == (family in _SUBJECTS)


def test_an_error_of_the_network_is_about_its_case_unless_there_is_no_device() -> None:
    assert {error.__name__: error.subject for error in _errors() if error.code.startswith("CS-INF")} == {
        "InferenceError": Subject.CASE,
        "DeviceError": Subject.SYSTEM,
        "OutOfMemoryError": Subject.CASE,
        "NotEnoughMemoryError": Subject.CASE,
    }


def test_the_table_has_a_row_for_each_class() -> None:
    rows = errors_table().splitlines()[2:]
    assert len(rows) == len(every_error())
    assert rows[0].startswith("| 1 | CS-INT-001 | system |")
    assert all(row.split(" | ")[2] == error.subject for row, error in zip(rows, every_error(), strict=True))
