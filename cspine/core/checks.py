"""What a value that a user gives must be before it is compared with limits."""

from __future__ import annotations

from math import isfinite
from numbers import Real


def is_finite_number(value: object) -> bool:
    """Return whether a value is a number, of Python or NumPy, and neither infinite nor NaN.

    Examples
    --------
    >>> is_finite_number(1.5), is_finite_number(float("nan")), is_finite_number("1")
    (True, False, False)
    """
    try:
        return isinstance(value, Real) and isfinite(value)
    except OverflowError:  # an integer beyond the largest float
        return False
