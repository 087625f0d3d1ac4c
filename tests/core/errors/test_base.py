"""What an error says, and that it keeps it."""

from __future__ import annotations

import pickle

from cspine.core.errors import GeometryError, MissingSliceError, OutOfMemoryError, Subject


def test_an_error_crosses_processes_with_all_it_says() -> None:
    error = pickle.loads(pickle.dumps(OutOfMemoryError("no more", advice="Buy some.")))
    assert type(error) is OutOfMemoryError
    assert (error.message, error.advice, error.subject) == ("no more", "Buy some.", Subject.CASE)


def test_an_error_reads_as_code_and_message() -> None:
    error = MissingSliceError("2 slices are missing", advice="Look at slice 7.")
    assert str(error) == "[CS-GEO-002] 2 slices are missing"
    assert (error.message, error.advice) == ("2 slices are missing", "Look at slice 7.")
    assert MissingSliceError("x").advice == MissingSliceError.advice != GeometryError.advice
