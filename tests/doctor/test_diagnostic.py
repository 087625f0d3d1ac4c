"""Diagnostics and readiness."""

from __future__ import annotations

from cspine.core.errors import ModelNotFoundError, NotReadyError
from cspine.doctor.diagnose import require_ready
from cspine.doctor.diagnostic import Diagnostic, Status, ok, run_check, warn
from tests.builders.raises import raises_code


def test_an_exception_is_a_failure_with_advice() -> None:
    def broken() -> Diagnostic:
        raise ImportError("libcudart.so.13: cannot open\nmore")

    line = run_check("imports", broken, "Reinstall.")
    assert (line.status, line.text, line.advice) == (
        Status.FAIL, "ImportError: libcudart.so.13: cannot open", "Reinstall.",
    )  # fmt: skip


def test_an_error_of_cspine_has_its_own_advice() -> None:
    def absent() -> Diagnostic:
        raise ModelNotFoundError("no model is called 'x'")

    assert run_check("model", absent, "other").advice == ModelNotFoundError.advice
    assert run_check("model", lambda: ok("model", "there"), "other") == ok("model", "there")


def test_a_failure_means_not_ready_and_a_warning_does_not() -> None:
    require_ready([ok("a", "x"), warn("b", "y", "Do.")])
    with raises_code(NotReadyError, 1, 2, "c"):
        require_ready([ok("a", "x"), Diagnostic("c", Status.FAIL, "z", "Do.")])
    assert Diagnostic("c", Status.FAIL, "z").as_json() == {"name": "c", "status": "FAIL", "text": "z", "advice": ""}
