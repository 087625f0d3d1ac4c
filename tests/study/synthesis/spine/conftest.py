"""Forms that take a while to make, once."""

from __future__ import annotations

import pytest

from cspine.study.synthesis.spine.forms import SpineForms, parametric_forms


@pytest.fixture(scope="session")
def solid_forms() -> SpineForms:
    return parametric_forms()
