"""Log lines as JSON, one an event, to standard error: what happened, to which study and job; never patient data."""

from __future__ import annotations

import json
import logging
import threading
from datetime import UTC, datetime
from typing import Any

from cspine.core.errors import as_defect

_STANDARD = set(vars(logging.LogRecord("", 0, "", 0, "", None, None))) | {"message", "asctime", "taskName"}

#: Libraries whose lines below a warning carry UIDs or headers, and whose warnings may quote a dataset's values.
_TALKATIVE = ("pynetdicom", "dicomweb_client", "pydicom", "requests", "urllib3", "highdicom", "py.warnings")


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON; what a call passed as ``extra`` stands beside time, level and event.

    Parameters
    ----------
    **always : str
        What stands in every line, for example the device of a worker.
    """

    def __init__(self, **always: str) -> None:
        super().__init__()
        self._always = always

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "logger": record.name,
        }
        line |= self._always
        line |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info and isinstance(record.exc_info[1], Exception):
            line["error"] = str(as_defect(record.exc_info[1]))  # kind and place; the text may quote a header
        return json.dumps(line, ensure_ascii=False, default=str)


def start_json_logging(level: int, **always: str) -> None:
    """Send the package's log lines to standard error as JSON, and keep those of the libraries away.

    Parameters
    ----------
    level : int
        The least that is logged.
    **always : str
        As `JsonFormatter`.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter(**always))
    log = logging.getLogger("cspine")
    log.handlers[:] = [handler]
    log.setLevel(level)
    log.propagate = False
    logging.captureWarnings(True)
    threading.excepthook = _tell_of_a_thread
    for name in _TALKATIVE:
        silenced = logging.getLogger(name)
        silenced.handlers[:] = [logging.NullHandler()]
        silenced.setLevel(logging.CRITICAL)
        silenced.propagate = False


def _tell_of_a_thread(ended: threading.ExceptHookArgs) -> None:
    """Say that a thread of a library ended with an error, without the text that Python would print."""
    if isinstance(ended.exc_value, Exception):
        logging.getLogger(__name__).error("a thread ended with an error", exc_info=ended.exc_value)
