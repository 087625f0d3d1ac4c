"""The output folder of a study: `dicom/` and `report/` appear together, when everything in them is whole."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from cspine.errors import OutputError, OutputNotEmptyError

_PARTS = ("report", "dicom")  # a router that watches dicom/ finds the report there already


class StudyOutput:
    """A place to write a study's results before they are shown; a context manager.

    Parameters
    ----------
    folder : Path
        Where ``dicom/`` and ``report/`` shall appear.
    overwrite : bool
        True to replace results that are there.

    Raises
    ------
    OutputNotEmptyError
        On entering, if results are there and may not be replaced.
    OutputError
        If the folder cannot be written.
    """

    def __init__(self, folder: Path, *, overwrite: bool = False) -> None:
        self.folder = folder
        self._overwrite = overwrite
        self._staging: Path | None = None
        self._made = False

    def __enter__(self) -> StudyOutput:
        there = [part for part in _PARTS if (self.folder / part).exists()]
        if there and not self._overwrite:
            raise OutputNotEmptyError(f"the output folder has {' and '.join(there)} already")
        self._made = not self.folder.exists()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._staging = Path(tempfile.mkdtemp(prefix=".cspine-", dir=self.folder))
            for part in _PARTS:
                (self._staging / part).mkdir()
        except OSError as error:
            raise OutputError(f"the output folder cannot be written: {error.strerror}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._staging is not None:
            shutil.rmtree(self._staging, ignore_errors=True)
        if self._made and error is not None:
            with suppress(OSError):
                self.folder.rmdir()

    @property
    def staging(self) -> Path:
        """Folder with the unfinished ``dicom/`` and ``report/``."""
        if self._staging is None:
            raise OutputError("the output folder is not open")
        return self._staging

    def show(self) -> None:
        """Move the finished results to their place.

        Raises
        ------
        OutputError
            If they cannot be moved; the folder is as it was before.
        """
        moved: list[tuple[Path, Path]] = []
        try:
            for part in _PARTS:
                place = self.folder / part
                if place.exists():
                    moved.append((place, place.rename(self.staging / f"old-{part}")))
                moved.append((self.staging / part, (self.staging / part).rename(place)))
        except OSError as error:
            for before, now in reversed(moved):
                with suppress(OSError):
                    now.rename(before)
            raise OutputError(f"the results cannot be put in place: {error.strerror}") from error
