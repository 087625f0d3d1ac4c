"""What makes a folder one that a command owns, one process works in, and a later call resumes.

A lock keeps other processes away, a claim says which command the folder belongs to, records say what became of each
item, and fingerprints tell whether the input of an item changed since.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import filelock

from cspine.core.errors import CSpineError, OutputError
from cspine.io.documents import read_json
from cspine.io.tables import write_json
from cspine.io.walk import files_below

Record = TypeVar("Record")
_POLL_S = 0.01


# --- locks ------------------------------------------------------------------------------------------------------------


@contextmanager
def locked(path: Path, in_use: CSpineError) -> Iterator[int]:
    """Lock a file, which is made with its folder, and give the descriptor that holds the lock.

    The lock ends with the last process that has the descriptor, however that process ends.

    Parameters
    ----------
    path : Path
        File of the lock; it stays, empty.
    in_use : CSpineError
        Raised where another process has the lock.

    Raises
    ------
    OutputError
        If the file cannot be made, or its file system has no locks.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _opened(path)
    except OSError as error:
        raise OutputError(f"the folder {path.parent.name} cannot be written: {error.strerror}") from error
    try:
        if not _taken(descriptor, path):
            raise in_use
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def locked_when_free(path: Path) -> Iterator[None]:
    """Lock a file, and wait where another process has the lock.

    Parameters
    ----------
    path : Path
        The file; it is created if it does not exist.
    """
    descriptor = _opened(path)
    try:
        filelock.lock_descriptor(descriptor, poll_interval=_POLL_S)
        yield
    finally:
        os.close(descriptor)


def _taken(descriptor: int, path: Path) -> bool:
    try:
        return filelock.lock_descriptor(descriptor, blocking=False)
    except OSError as error:
        raise OutputError(f"the folder {path.parent.name} cannot be locked: {error.strerror}") from error


def _opened(path: Path) -> int:
    """Open the file of a lock: who can open it can hold the lock, so that only its owner can."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    if hasattr(os, "fchmod") and os.fstat(descriptor).st_uid == os.geteuid():
        os.fchmod(descriptor, 0o600)  # of an earlier version
    return descriptor


# --- whose folder it is -----------------------------------------------------------------------------------------------


class ForeignClaimError(Exception):
    """The file of a claim is damaged, or another command's."""


@dataclass(frozen=True)
class Claim:
    """The file by which a folder says which command it belongs to, and what its results are made with.

    Parameters
    ----------
    file : Path
        A JSON file.
    command : str
        For example ``"cspine audit"``.
    """

    file: Path
    command: str

    def read(self) -> dict[str, Any] | None:
        """Return what the file says; None where there is none.

        Raises
        ------
        ForeignClaimError
            If it is damaged, or another command's.
        OSError
            If it cannot be read.
        """
        try:
            content = read_json(self.file, allow_nan=True)
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise ForeignClaimError from error
        if not isinstance(content, dict) or content.get("command") != self.command:
            raise ForeignClaimError
        return content

    def write(self, content: dict[str, Any]) -> None:
        """Write the file of the claim, with the command that claims the folder.

        Parameters
        ----------
        content : dict
            What the file says beside the command.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        write_json(self.file, {"command": self.command, **content})


# --- what became of each item -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Records(Generic[Record]):
    """A folder with a JSON file for each item of a command; written last, it says that the item is complete.

    Parameters
    ----------
    folder : Path
        The folder; made with the first record.
    parse : callable
        Turns the content of a file into a record; raises ValueError, TypeError or KeyError where it is none.
    dump : callable
        Turns a record into the content of its file.
    """

    folder: Path
    parse: Callable[[dict[str, Any]], Record]
    dump: Callable[[Record], dict[str, Any]]

    def path(self, name: str) -> Path:
        """Return the file of an item."""
        return self.folder / f"{name}.json"

    def read(self, name: str) -> Record | None:
        """Return the record of an item; None where there is none, or a damaged one.

        Parameters
        ----------
        name : str
            Name of the item.
        """
        try:
            return self.parse(read_json(self.path(name), allow_nan=True))
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def write(self, name: str, record: Record) -> None:
        """Write the record of an item.

        Parameters
        ----------
        name : str
            Name of the item.
        record : object
            The record, as ``dump`` takes it.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        write_json(self.path(name), self.dump(record))

    def remove(self, name: str) -> None:
        """Remove the record of an item, if there is one.

        Parameters
        ----------
        name : str
            Name of the item.

        Raises
        ------
        OutputError
            If it cannot be removed.
        """
        try:
            self.path(name).unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"{name}.json cannot be removed: {error.strerror}") from error

    def names(self) -> list[str]:
        """Return the items that have a file, by name."""
        return sorted(path.stem for path in self.folder.glob("*.json"))


def unchanged(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a record that is kept as it is.

    Parameters
    ----------
    content : dict
        The content of its file.

    Raises
    ------
    TypeError
        If it is no object.
    """
    if not isinstance(content, dict):
        raise TypeError("a record is a JSON object")
    return content


# --- whether an input changed -----------------------------------------------------------------------------------------


def fingerprint(places: Iterable[Path], about: str = "", *, strict: bool = False) -> str:
    """Return a checksum of names, sizes and times of files: it changes when one of them does.

    Parameters
    ----------
    places : iterable of Path
        Files, and folders whose files all count, those behind links to folders too.
    about : str
        What else decides.
    strict : bool
        True to raise OSError for a file that cannot be looked at; else that counts as a state of the file.
    """
    digest = hashlib.sha256(f"{about}\n".encode())
    for place in places:
        for path in _files(place, strict):
            name = path.relative_to(place).as_posix() if path != place else place.name
            digest.update(f"{name}\0{_state(path, strict)}\n".encode())
    return digest.hexdigest()


def _files(place: Path, strict: bool) -> list[Path]:
    if not place.is_dir():
        return [place]
    return [path for path in files_below(place, _raise if strict else None) if path.is_file()]


def _raise(error: OSError) -> None:
    raise error


def _state(path: Path, strict: bool) -> str:
    try:
        state = path.stat()
    except OSError as error:
        if strict:
            raise
        return type(error).__name__
    return f"{state.st_size}\0{state.st_mtime_ns}"
