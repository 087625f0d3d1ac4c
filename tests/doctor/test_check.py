"""Lines of a diagnosis."""

from __future__ import annotations

import pytest

from cspine.core.errors import ModelNotFoundError, NotReadyError
from cspine.doctor.check import Diagnosis, Readiness, looked_at, ok, warn
from cspine.doctor.examine import require_ready


def test_what_raises_is_a_failure_with_advice() -> None:
    def broken() -> Diagnosis:
        raise ImportError("libcudart.so.13: cannot open\nmore")

    line = looked_at("imports", broken, "Reinstall.")
    assert (line.verdict, line.text, line.advice) == (
        Readiness.FAIL, "ImportError: libcudart.so.13: cannot open", "Reinstall.",
    )  # fmt: skip


def test_an_error_of_cspine_brings_its_own_advice() -> None:
    def absent() -> Diagnosis:
        raise ModelNotFoundError("no model is called 'x'")

    assert looked_at("model", absent, "other").advice == ModelNotFoundError.advice
    assert looked_at("model", lambda: ok("model", "there"), "other") == ok("model", "there")


def test_a_failure_means_not_ready_and_a_warning_does_not() -> None:
    require_ready([ok("a", "x"), warn("b", "y", "Do.")])
    with pytest.raises(NotReadyError, match="1 of 2 checks failed: c"):
        require_ready([ok("a", "x"), Diagnosis("c", Readiness.FAIL, "z", "Do.")])
    assert Diagnosis("c", Readiness.FAIL, "z").as_json() == {"name": "c", "verdict": "FAIL", "text": "z", "advice": ""}
