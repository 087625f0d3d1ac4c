"""Options that name levels of the spine."""

from __future__ import annotations

from cspine.core.anatomy import Vertebra, parse_levels
from cspine.core.errors import UsageError


def wanted_levels(text: str, option: str) -> tuple[Vertebra, ...]:
    """Return the levels of an option, for example ``"C1-T1"`` or ``"C3,C4"``, from head to foot.

    Parameters
    ----------
    text : str
        What the user gave.
    option : str
        The option, for the message.

    Raises
    ------
    UsageError
        If a part is neither a level nor a range.
    """
    try:
        return parse_levels(text)
    except UsageError as error:
        raise UsageError(f"{option}: {error.message}", advice=error.advice) from error
