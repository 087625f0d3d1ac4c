"""What libraries print by themselves: their texts may quote values of headers, so the texts are withheld.

Called once at the entrance of every process. The messages of cspine itself never contain patient data.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
import warnings
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

_WITHHELD = "text withheld: it may contain patient data"


def withhold_foreign_texts() -> None:
    """Withhold the texts of warnings, log records and unhandled exceptions of other packages in this process.

    It holds for every handler, those that libraries install later included. A repeated warning is shown once.
    """
    warnings.showwarning = _show_warning
    # `import monai` imports Holoscan too, which warns of a stack size that matters to applications alone.
    warnings.filterwarnings("ignore", message="Current stack size", category=RuntimeWarning)
    sys.excepthook = _show_exception
    sys.unraisablehook = lambda raised: _show_exception(raised.exc_type, raised.exc_value, raised.exc_traceback)
    threading.excepthook = lambda raised: _show_exception(raised.exc_type, raised.exc_value, raised.exc_traceback)
    logging.setLogRecordFactory(_record)
    if not any(isinstance(filter_, _Once) for filter_ in _DICOM_LOG.filters):
        _DICOM_LOG.addFilter(_Once())


#: Logs a line for every malformed value.
_DICOM_LOG = logging.getLogger("pydicom")


def _record(name: str, *arguments: Any, **named: Any) -> logging.LogRecord:
    """Return a log record; one of another package gives its origin instead of its text."""
    record = logging.LogRecord(name, *arguments, **named)
    if name.partition(".")[0] != "cspine":
        record.msg, record.args = f"{name}: {record.levelname.lower()} ({_WITHHELD})", ()
        record.exc_info, record.exc_text, record.stack_info = None, None, None
    return record


class _Once(logging.Filter):
    """Let one record of each line of code pass."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[tuple[str, int]] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the line has not logged before."""
        line = (record.pathname, record.lineno)
        is_new = line not in self._seen
        self._seen.add(line)
        return is_new


def frames_of(error: BaseException) -> str:
    """Return the places of an exception and of those that caused it, without their texts."""
    lines: list[str] = []
    seen: BaseException | None = error
    while seen is not None:
        lines.append(type(seen).__name__)
        lines += [
            f"  {Path(frame.filename).name}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(seen.__traceback__)
        ]
        seen = seen.__cause__ or seen.__context__
    return "\n".join(lines)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Write where a warning comes from, without its text, and once for each place."""
    place = f"{category.__name__} at {Path(filename).name}:{lineno}"
    if place not in _shown:
        _shown.add(place)
        (file or sys.stderr).write(f"{place} ({_WITHHELD})\n")


#: Where warnings came from.
_shown: set[str] = set()


def _show_exception(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    """Write where an unhandled exception was raised, without its text."""
    sys.stderr.write(f"{frames_of(error) if error is not None else kind.__name__}\n")
