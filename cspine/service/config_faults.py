"""The faults of a configuration in words: one typing error, one message."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError


def describe_faults(error: ValidationError) -> list[str]:
    """Return one message for each fault.

    A field that is unknown and a similar one of the same section that is missing are one typing error; what is wrong
    with a section because of a fault within it is omitted.

    Parameters
    ----------
    error : ValidationError
        As pydantic raises it.
    """
    faults = error.errors(include_input=False, include_url=False)
    missing = {fault["loc"] for fault in faults if fault["type"] == "missing"}
    meant: dict[tuple[Any, ...], str] = {}
    for fault in faults:
        if fault["type"] != "extra_forbidden":
            continue
        *section, written = fault["loc"]
        absent = [str(loc[-1]) for loc in missing if list(loc[:-1]) == section]
        similar = difflib.get_close_matches(str(written), absent, n=1)
        if similar:
            meant[fault["loc"]] = similar[0]
            missing.discard((*section, similar[0]))
    messages = []
    places = [fault["loc"] for fault in faults]
    for fault in faults:
        loc = fault["loc"]
        follows = any(len(place) > len(loc) and place[: len(loc)] == loc for place in places)
        if follows or (fault["type"] == "missing" and loc not in missing):
            continue
        where = ".".join(map(str, fault["loc"])) or "file"
        if fault["loc"] in meant:
            messages.append(f"{where}: unknown; {meant[fault['loc']]} is missing")
        else:
            messages.append(f"{where}: {fault['msg']}")
    return messages
