"""JSON log lines on standard error, one per event, with study and job; never with patient data."""

from __future__ import annotations

import json
import logging
import threading
from datetime import UTC, datetime
from typing import Any

from cspine.core.errors import as_defect

_STANDARD = set(vars(logging.LogRecord("", 0, "", 0, "", None, None))) | {"message", "asctime", "taskName"}

#: Libraries whose log lines may contain UIDs, headers or values of a dataset.
_SILENCED = ("pynetdicom", "dicomweb_client", "pydicom", "requests", "urllib3", "highdicom", "py.warnings")


class JsonFormatter(logging.Formatter):
    """Format a record as one line of JSON: time, level, event, and the fields that the call passed as ``extra``.

    Parameters
    ----------
    **fields : str
        Fields of every line, for example the device of a worker.
    """

    def __init__(self, **fields: str) -> None:
        super().__init__()
        self._fields = fields

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "logger": record.name,
        }
        line |= self._fields
        line |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info and isinstance(record.exc_info[1], Exception):
            line["error"] = str(as_defect(record.exc_info[1]))  # type and location; the text may contain a header
        return json.dumps(line, ensure_ascii=False, default=str)


def start_json_logging(level: int, **fields: str) -> None:
    """Log the package's events to standard error as JSON, and silence the libraries.

    Parameters
    ----------
    level : int
        Lowest level that is logged.
    **fields : str
        As `JsonFormatter`.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter(**fields))
    log = logging.getLogger("cspine")
    log.handlers[:] = [handler]
    log.setLevel(level)
    log.propagate = False
    logging.captureWarnings(True)
    threading.excepthook = _log_thread_error
    for name in _SILENCED:
        silenced = logging.getLogger(name)
        silenced.handlers[:] = [logging.NullHandler()]
        silenced.setLevel(logging.CRITICAL)
        silenced.propagate = False


def _log_thread_error(ended: threading.ExceptHookArgs) -> None:
    """Log that a thread of a library ended with an error, without the text that Python would print."""
    if isinstance(ended.exc_value, Exception):
        logging.getLogger(__name__).error("thread failed", exc_info=ended.exc_value)
