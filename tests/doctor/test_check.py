"""Lines of a diagnosis."""

from __future__ import annotations

import pytest

from cspine.core.errors import ModelNotFoundError, NotReadyError
from cspine.doctor.check import Check, Verdict, looked_at, ok, warn
from cspine.doctor.examine import require_ready


def test_what_raises_is_a_failure_with_advice() -> None:
    def broken() -> Check:
        raise ImportError("libcudart.so.13: cannot open\nmore")

    line = looked_at("imports", broken, "Reinstall.")
    assert (line.verdict, line.text, line.advice) == (
        Verdict.FAIL, "ImportError: libcudart.so.13: cannot open", "Reinstall.",
    )  # fmt: skip


def test_an_error_of_cspine_brings_its_own_advice() -> None:
    def absent() -> Check:
        raise ModelNotFoundError("no model is called 'x'")

    assert looked_at("model", absent, "other").advice == ModelNotFoundError.advice
    assert looked_at("model", lambda: ok("model", "there"), "other") == ok("model", "there")


def test_a_failure_means_not_ready_and_a_warning_does_not() -> None:
    require_ready([ok("a", "x"), warn("b", "y", "Do.")])
    with pytest.raises(NotReadyError, match=r"\b1\b.*\b2\b.*\bc\b"):
        require_ready([ok("a", "x"), Check("c", Verdict.FAIL, "z", "Do.")])
    assert Check("c", Verdict.FAIL, "z").as_json() == {"name": "c", "verdict": "FAIL", "text": "z", "advice": ""}
