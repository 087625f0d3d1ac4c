"""The output folder of a study: `dicom/` and `report/` appear together, when everything in them is whole.

One of them that nothing was written into does not appear.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from cspine.core.errors import OutputError, OutputNotEmptyError

SEGMENTATION = "segmentation.dcm"
SUMMARY = "summary.json"
PREVIEW = "preview.png"
LABELS = "labels.nii.gz"

# In this order: a router that watches dicom/ finds the report there already.
_FILES = {"report": {SUMMARY, PREVIEW, LABELS}, "dicom": {SEGMENTATION}}
_STAGING = ".cspine-"


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
        try:
            self._refuse_what_is_there()
            self._made = not self.folder.exists()
            self.folder.mkdir(parents=True, exist_ok=True)
            self._staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=self.folder))
            for part in _FILES:
                (self._staging / part).mkdir()
        except OSError as error:
            raise OutputError(f"the output folder cannot be written: {error.strerror}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()

    def discard(self) -> None:
        """Remove what is unfinished, and the folder too where this run made it and nothing was shown."""
        if self._staging is not None:
            shutil.rmtree(self._staging, ignore_errors=True)
        if self._made:
            with suppress(OSError):
                self.folder.rmdir()

    def _refuse_what_is_there(self) -> None:
        """Allow results of an earlier run to be replaced, and nothing else: the input may lie in a folder ``dicom``."""
        there = [part for part in _FILES if (self.folder / part).exists()]
        if there and not self._overwrite:
            raise OutputNotEmptyError(f"the output folder has {' and '.join(there)} already")
        for part in there:
            foreign = {path.name for path in (self.folder / part).iterdir()} - _FILES[part]
            if foreign:
                raise OutputNotEmptyError(
                    f"{part}/ in the output folder holds {len(foreign)} files that are no results of cspine",
                    advice="Give another output folder; --overwrite replaces results of cspine only.",
                )

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
        OutputNotEmptyError
            If another run has put results there meanwhile.
        OutputError
            If they cannot be moved; the folder is as it was before.
        """
        moved: list[tuple[Path, Path]] = []
        self._refuse_what_is_there()
        try:
            for part in _FILES:
                place = self.folder / part
                if place.exists():
                    moved.append((place, place.rename(self.staging / f"old-{part}")))
                made = self.staging / part
                if any(made.iterdir()):
                    moved.append((made, made.rename(place)))
        except BaseException as error:
            for before, now in reversed(moved):
                with suppress(OSError):
                    now.rename(before)
            if not isinstance(error, OSError):
                raise
            raise OutputError(f"the results cannot be put in place: {error.strerror}") from error
