"""The boundary to files from outside."""

from __future__ import annotations

import pytest

from cspine.core.errors import InputError, UsageError
from cspine.io.foreign import foreign_file


@pytest.mark.parametrize(
    "raised", [ValueError("SECRET"), MemoryError(), RecursionError(), OverflowError(), KeyError(1)]
)
def test_whatever_a_library_raises_is_damage_of_the_file(raised: Exception) -> None:
    with pytest.raises(InputError) as caught, foreign_file(lambda kind: InputError(f"damaged ({kind})")):
        raise raised
    assert type(raised).__name__ in caught.value.message
    assert "SECRET" not in str(caught.value)


def test_errors_of_cspine_pass_unchanged() -> None:
    error = UsageError("as it is")
    with pytest.raises(UsageError) as caught, foreign_file(lambda kind: InputError(kind)):
        raise error
    assert caught.value is error


def test_an_interrupt_is_no_damage() -> None:
    with pytest.raises(KeyboardInterrupt), foreign_file(lambda kind: InputError(kind)):
        raise KeyboardInterrupt
