"""Settings of a run of the network, as users write them."""

from __future__ import annotations

import pytest

from cspine.core.errors import UsageError
from cspine.inference.settings import InferenceSettings, parse_folds


@pytest.mark.parametrize(
    ("text", "folds"), [(None, None), ("", None), ("0", ("0",)), ("0, 1,2", ("0", "1", "2")), ("all", ("all",))]
)
def test_folds_as_a_user_names_them(text: str | None, folds: tuple[str, ...] | None) -> None:
    assert parse_folds(text) == folds


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
