"""An unexpected exception as an error."""

from __future__ import annotations

import errno

import pytest

from cspine.core.anatomy import vertebra
from cspine.core.errors import OutputError, SystemLimitError, as_defect


def test_an_unexpected_exception_states_its_type_and_line_and_not_its_text():
    try:
        vertebra("SECRET^NAME")
    except KeyError as unforeseen:
        error = as_defect(unforeseen)
    assert error.code == "CS-INT-001" and error.exit_code == 1
    assert error.message.startswith("KeyError at anatomy.py:")
    assert "SECRET" not in str(error)
    assert as_defect(error) is error


@pytest.mark.parametrize(("number", "kind"), [(errno.EMFILE, SystemLimitError), (errno.ENOSPC, OutputError)])
def test_what_the_operating_system_refuses_is_no_defect(number, kind):
    assert type(as_defect(OSError(number, "SECRET"))) is kind
