"""The files of a call in a folder that a user names: a later call replaces them, and no other file."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cspine.core.errors import OutputError, OutputNotEmptyError
from cspine.io.documents import read_json
from cspine.io.files import remove_file
from cspine.io.tables import write_json

_FILES, _COMPLETE = "files", "complete"


def listed_files(report: Path) -> set[str]:
    """Return the names of the files that a report lists, and its own; none if it cannot be read.

    Parameters
    ----------
    report : Path
        The report, as `OwnFiles` writes it.
    """
    with suppress(OSError, ValueError):
        content = read_json(report, allow_nan=True)
        if isinstance(content, dict) and isinstance(content.get(_FILES), list):
            return {report.name, *(name for name in content[_FILES] if isinstance(name, str))}
    return set()


@dataclass(frozen=True)
class OwnFiles:
    """The files that calls of one kind write into a folder, with a report that lists them.

    Parameters
    ----------
    folder : Path
        The folder, which need not exist; files with other names in it are left alone.
    report : str
        Name of the report, a JSON object.
    possible : frozenset of str
        Every other name that such a call may give to a file.
    """

    folder: Path
    report: str
    possible: frozenset[str]

    def check(self) -> None:
        """Refuse a folder in which a file of another origin would be replaced, or would pass for one of this call.

        Raises
        ------
        OutputNotEmptyError
            If there is such a file.
        OutputError
            If the folder cannot be read, or is a file.
        """
        self._earlier()

    def _earlier(self) -> set[str]:
        """Return the names of the files of an earlier call; errors as `check`."""
        try:
            present = {path.name for path in self.folder.iterdir()} & {self.report, *self.possible}
        except FileNotFoundError:
            return set()
        except OSError as error:
            raise OutputError(f"the output folder cannot be read: {error.strerror}") from error
        foreign = sorted(present - listed_files(self.folder / self.report))
        if foreign:
            raise OutputNotEmptyError(
                f"the output folder has {', '.join(foreign)}, which no {self.report} there lists",
                advice="Choose another folder, or remove these files.",
            )
        return present - {self.report}

    def begin(self, names: Iterable[str]) -> None:
        """Remove the files of an earlier call that this one does not write, and list those that it will write.

        Parameters
        ----------
        names : iterable of str
            The files to be written, besides the report; some of ``possible``.

        Raises
        ------
        OutputNotEmptyError, OutputError
            As `check`, and if a file cannot be written or removed.
        """
        wanted, earlier = set(names), self._earlier()
        # A call that is killed leaves files that the next one knows.
        write_json(self.folder / self.report, {_COMPLETE: False, _FILES: sorted(earlier | wanted)})
        for name in sorted(earlier - wanted):
            remove_file(self.folder / name)

    def finish(self, names: Iterable[str], content: dict[str, Any]) -> Path:
        """Write the report with the list of the files, and return its path; OutputError if that fails.

        Parameters
        ----------
        names : iterable of str
            The files that were written.
        content : dict
            What else the report says.
        """
        path = self.folder / self.report
        write_json(path, {**content, _FILES: sorted(set(names))})
        return path
