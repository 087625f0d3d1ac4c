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
from typing import TextIO

_WITHHELD = "text withheld: it may contain patient data"


def withhold_foreign_texts() -> None:
    """Withhold the texts of warnings, log records and unhandled exceptions of other packages in this process."""
    warnings.showwarning = _show_warning
    sys.excepthook = _show_exception
    sys.unraisablehook = lambda raised: _show_exception(raised.exc_type, raised.exc_value, raised.exc_traceback)
    threading.excepthook = lambda raised: _show_exception(raised.exc_type, raised.exc_value, raised.exc_traceback)
    if not any(isinstance(filter_, _Withhold) for filter_ in _LAST_RESORT.filters):
        _LAST_RESORT.addFilter(_Withhold())


class _Withhold(logging.Filter):
    """Replace the text of log records of other packages by their origin."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep every record; change those of other packages."""
        if record.name.partition(".")[0] != "cspine":
            record.msg, record.args = f"{record.name}: {record.levelname.lower()} ({_WITHHELD})", ()
            record.exc_info, record.exc_text, record.stack_info = None, None, None
        return True


#: The handler of records that no other handler takes, which prints warnings of libraries.
_LAST_RESORT: logging.Handler = logging.lastResort or logging.NullHandler()


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
    """Write where a warning comes from, without its text."""
    (file or sys.stderr).write(f"{category.__name__} at {Path(filename).name}:{lineno} ({_WITHHELD})\n")


def _show_exception(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    """Write where an unhandled exception was raised, without its text."""
    sys.stderr.write(f"{frames_of(error) if error is not None else kind.__name__}\n")
