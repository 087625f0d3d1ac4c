"""The error tree and its table."""

from __future__ import annotations

import hashlib
import pickle
import re

import pytest

from cspine.core.anatomy import vertebra
from cspine.core.errors import (
    CSpineError,
    GeometryError,
    MissingSliceError,
    OutOfMemoryError,
    Subject,
    as_defect,
    every_error,
    hashed,
)

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
    return [error for error in every_error() if error.__module__ == "cspine.core.errors"]


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


def test_an_error_crosses_processes_with_all_it_says() -> None:
    error = pickle.loads(pickle.dumps(OutOfMemoryError("no more", advice="Buy some.")))
    assert type(error) is OutOfMemoryError
    assert (error.message, error.advice, error.subject) == ("no more", "Buy some.", Subject.CASE)


def test_an_error_reads_as_code_and_message() -> None:
    error = MissingSliceError("2 slices are missing", advice="Look at slice 7.")
    assert str(error) == "[CS-GEO-002] 2 slices are missing"
    assert (error.message, error.advice) == ("2 slices are missing", "Look at slice 7.")
    assert MissingSliceError("x").advice == MissingSliceError.advice != GeometryError.advice


def test_a_hashed_identifier_is_short_stable_and_not_the_identifier() -> None:
    assert hashed("1.2.3") == hashlib.sha256(b"1.2.3").hexdigest()[:12] != hashed("1.2.4")
    assert len(hashed("Müller")) == 12


def test_an_unexpected_exception_states_its_type_and_line_and_not_its_text():
    try:
        vertebra("SECRET^NAME")
    except KeyError as unforeseen:
        error = as_defect(unforeseen)
    assert error.code == "CS-INT-001" and error.exit_code == 1
    assert error.message.startswith("KeyError at anatomy.py:")
    assert "SECRET" not in str(error)
    assert as_defect(error) is error
