"""All classes of the error tree, and their table in docs/reference/errors.md."""

from __future__ import annotations

from cspine.core.errors.base import CSpineError


def every_error() -> list[type[CSpineError]]:
    """Return all classes of the tree, ordered by exit code and code, the root first.

    Returns
    -------
    list of type
        Each class once.
    """
    found: list[type[CSpineError]] = []
    todo: list[type[CSpineError]] = [CSpineError]
    while todo:
        error = todo.pop()
        found.append(error)
        todo.extend(error.__subclasses__())
    return sorted(found, key=lambda e: (e.exit_code, e.code))


def errors_table() -> str:
    """Return the table of docs/reference/errors.md, one Markdown row for each error."""
    rows = []
    for error in every_error():
        meaning = (error.__doc__ or "").partition("\n")[0]
        rows.append(f"| {error.exit_code} | {error.code} | {error.subject} | {meaning} | {error.advice} |")
    return "\n".join(["| exit code | code | about | meaning | advice |", "|---|---|---|---|---|", *rows])
