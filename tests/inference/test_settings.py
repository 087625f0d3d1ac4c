"""Settings of a run of the network, as users write them."""

from __future__ import annotations

import pytest

from cspine.core.errors import UsageError
from cspine.inference.settings import InferenceSettings, parse_folds
from tests.builders.raises import raises_code


@pytest.mark.parametrize(
    ("text", "folds"),
    [
        (None, None),
        ("", None),
        ("0", ("0",)),
        ("0, 1,2", ("0", "1", "2")),
        ("all", ("all",)),
        ("0,all", ("0", "all")),
        ("01,1", ("1",)),
    ],
)
def test_folds_as_a_user_names_them(text: str | None, folds: tuple[str, ...] | None) -> None:
    assert parse_folds(text) == folds


@pytest.mark.parametrize("text", ["0,", ",", "first", "-1", "0;1", "\u0661", "all of them"])
def test_what_is_no_fold_is_refused(text: str) -> None:
    with raises_code(UsageError, "--folds"):
        parse_folds(text)


@pytest.mark.parametrize(
    "wrong",
    [
        *({"step_size": 0.0}, {"step_size": 1.5}, {"precision": "float16"}, {"folds": ()}),
        *({"device": device} for device in ("gpu", "cuda:", "cuda:-1", "cuda:x", "", "mps")),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        InferenceSettings(**wrong)
