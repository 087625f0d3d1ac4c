"""The error that a test expects: its code, and the values that its message carries."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest

from cspine.core.errors import CSpineError
from cspine.io.console import with_options

E = TypeVar("E", bound=CSpineError)


@contextmanager
def raises_code(error: type[E], *values: object) -> Iterator[pytest.ExceptionInfo[E]]:
    """Expect an error of exactly this class, hence of its code, whose message carries some values.

    Parameters
    ----------
    error : type
        Class of the error; a class that derives from it has another code and is not accepted.
    *values : object
        Names of files, options, levels, numbers ... Each must be in the message, as the command line shows it, as a
        word of its own, and at least as often as it is given. Sentences are no values: they may improve without
        breaking a test.

    Yields
    ------
    pytest.ExceptionInfo
        The error, for further assertions.
    """
    with pytest.raises(error) as caught:
        yield caught
    assert caught.value.code == error.code
    message = with_options(caught.value.message)
    for text, times in Counter(map(str, values)).items():
        found = re.findall(rf"(?<!\w){re.escape(text)}(?!\w)", message)
        assert len(found) >= times, f"{text!r} is not in {message!r}"
