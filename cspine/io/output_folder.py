"""The output folder of an evaluation or an audit: it never takes the place of what it is made from.

Such a folder has its summary.json from the beginning, which names the command that it belongs to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cspine.core.errors import OutputError, UsageError
from cspine.io.output import SUMMARY
from cspine.io.workspace import Claim, ForeignClaimError

#: Command whose folders hold labels of `cspine.core.anatomy`.
PREDICT = "cspine predict"
_SHEETS = ("sheet.png", "sheet-1.png")


@dataclass(frozen=True)
class OutputFolder:
    """Where a command writes.

    Parameters
    ----------
    root : Path
        The folder; absent, without results, or of an earlier call of the same command.
    command : str
        For example ``"cspine audit"``.
    folders, files : tuple of str
        What the command writes there, but for summary.json and the picture sheets.
    identity : mapping
        What a later call must share to renew the results: entries of summary.json.
    """

    root: Path
    command: str
    folders: tuple[str, ...]
    files: tuple[str, ...]
    identity: Mapping[str, Any] = field(default_factory=dict)

    def check(self, inputs: Iterable[Path | None]) -> None:
        """Refuse a folder in which an input, a file of another origin, or results for something else would be lost.

        Parameters
        ----------
        inputs : iterable of Path or None
            Folders that the command reads.

        Raises
        ------
        UsageError
            If it is such a folder.
        OutputError
            If it is a file, or cannot be looked at.
        """
        if self.root.is_file():
            raise OutputError(f"{self.root} is a file", advice="Give a folder.")
        read = [path for path in inputs if path is not None]
        refuse_overlap([self.root / name for name in self.folders], read, "out")
        if self.root.resolve() in [path.resolve() for path in read]:
            raise UsageError("`out` is a folder that is read", advice="Give the results a folder of their own.")
        try:
            own = self._own()
            if own is not None:
                self._refuse_others(own)
                return
            foreign = [name for name in (*self.folders, *self.files, SUMMARY, *_SHEETS) if (self.root / name).exists()]
        except OSError as error:
            raise OutputError(f"the output folder cannot be read: {error.strerror}") from error
        if foreign:
            raise UsageError(
                f"`out` has {', '.join(foreign)} already, and no {SUMMARY} of {self.command}",
                advice=f"Give `out` an empty folder, or that of an earlier {self.command}.",
            )

    @property
    def _claim(self) -> Claim:
        return Claim(self.root / SUMMARY, self.command)

    def _own(self) -> dict[str, Any] | None:
        try:
            return self._claim.read()
        except ForeignClaimError:
            return None

    def _refuse_others(self, own: Mapping[str, Any]) -> None:
        other = [key for key, value in self.identity.items() if own.get(key, value) != value]
        if other:
            raise UsageError(
                f"`out` holds results of {self.command} with other {' and '.join(other)}",
                advice="Give each its own folder, or remove that one.",
            )

    def begin(self) -> None:
        """Write a summary.json that says whose folder it is, and that it is unfinished; OutputError if that fails."""
        self._claim.write({"complete": False, **self.identity})

    def finish(self, summary: dict[str, Any]) -> None:
        """Write summary.json; OutputError if that fails.

        Parameters
        ----------
        summary : dict
            What it says of all cases.
        """
        self._claim.write({"complete": True, **self.identity, **summary})


def summary_of(folder: Path, command: str) -> dict[str, Any] | None:
    """Return the content of the summary.json of a folder; None where it is not the folder of that command.

    Parameters
    ----------
    folder : Path
        The folder.
    command : str
        For example ``"cspine predict"``.
    """
    try:
        return Claim(folder / SUMMARY, command).read()
    except (OSError, ForeignClaimError):
        return None


def refuse_overlap(places: Iterable[Path], inputs: Iterable[Path | None], option: str) -> None:
    """Refuse to write into a folder that is read, or lies around one that is.

    Parameters
    ----------
    places : iterable of Path
        Folders whose files are written and removed.
    inputs : iterable of Path or None
        Folders that are read.
    option : str
        Setting that names the place, for example ``"out"``.

    Raises
    ------
    UsageError
        If one of the inputs is in one of the places.
    """
    read = [path.resolve() for path in inputs if path is not None]
    for place in places:
        if any(path.is_relative_to(place.resolve()) for path in read):
            raise UsageError(
                f"`{option}`: its {place.name}/ is a folder that is read, and its files would be overwritten",
                advice=f"Give `{option}` another folder.",
            )
