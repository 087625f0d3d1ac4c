"""The output folder of a study: `dicom/` and `report/` appear together, when both are complete.

A folder without files does not appear.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType

from cspine.core.anatomy import VERTEBRAE
from cspine.core.errors import OutputError, OutputNotEmptyError, UsageError
from cspine.io.own_files import listed_files
from cspine.io.staging import staging_folder

SEGMENTATION = "segmentation.dcm"
REPORT = "measurements.dcm"
SUMMARY = "summary.json"
MEASUREMENTS = "measurements.csv"
MEASURED = "measurements.json"
PREVIEW = "preview.png"
LABELS = "labels.nii.gz"
LABELS_SIDECAR = "labels.json"
PAGE = "report.html"
PDF = "report.dcm"
SC = "secondary-capture.dcm"
KEY_OBJECTS = "key-images.dcm"
STRUCTURES = "structures.dcm"
#: Folders within report/, the report in each, which lists the files there, and the DICOM objects of surfaces.
SURFACES, ELEMENTS = "surfaces", "fe"
SURFACES_REPORT, ELEMENTS_REPORT = "surfaces.json", "elements.json"
SURFACE_OBJECT = "surface-{level}.dcm"
_SURFACE_OBJECTS = {SURFACE_OBJECT.format(level=level.name) for level in VERTEBRAE}

# In this order, so that a router that watches dicom/ finds a complete report.
_FILES = {
    "report": {SUMMARY, MEASUREMENTS, MEASURED, PREVIEW, LABELS, LABELS_SIDECAR, PAGE, SURFACES, ELEMENTS},
    "dicom": {SEGMENTATION, REPORT, PDF, SC, KEY_OBJECTS, STRUCTURES, *_SURFACE_OBJECTS},
}
_REPORTS = {SURFACES: SURFACES_REPORT, ELEMENTS: ELEMENTS_REPORT}
#: The folders that appear in the output folder.
PARTS = tuple(_FILES)
_STAGING = ".cspine-"


def foreign_files(folder: Path, part: str) -> list[Path]:
    """Return what a part of an output folder has, at any depth, that no run wrote.

    Parameters
    ----------
    folder : Path
        The output folder.
    part : str
        One of `PARTS`, which exists.
    """
    found = []
    for path in (folder / part).iterdir():
        if path.name not in _FILES[part]:
            found.append(path)
        elif path.name in _REPORTS and path.is_dir():
            known = listed_files(path / _REPORTS[path.name])
            found += [file for file in path.iterdir() if file.name not in known]
    return found


class StudyOutput:
    """A staging folder for the results of a study, which `commit` moves to their place; a context manager.

    The staging folder is private; results have the permissions that the umask of the process gives them.

    Parameters
    ----------
    folder : Path
        Folder in which ``dicom/`` and ``report/`` appear.
    overwrite : bool
        True to replace existing results.
    inputs : iterable of Path or None
        Results that are read: those of ``folder`` are not replaced by what is made from them.

    Raises
    ------
    OutputNotEmptyError
        On entering, if results exist and may not be replaced.
    UsageError
        On entering, if an input would be replaced.
    OutputError
        If the folder cannot be written.
    """

    def __init__(self, folder: Path, *, overwrite: bool = False, inputs: Iterable[Path | None] = ()) -> None:
        self.folder = folder
        self._overwrite = overwrite
        self._inputs = [path for path in inputs if path is not None]
        self._staging: Path | None = None
        self._stack = ExitStack()
        self._created = False

    def __enter__(self) -> StudyOutput:
        try:
            self._require_replaceable()
            self._created = not self.folder.exists()
            self.folder.mkdir(parents=True, exist_ok=True)
            self._staging = self._stack.enter_context(staging_folder(self.folder, _STAGING))
            for part in PARTS:
                (self._staging / part).mkdir()
        except OSError as error:
            self.discard()
            raise OutputError(f"the output folder cannot be written: {error.strerror}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()

    def discard(self) -> None:
        """Remove the staging folder, and the output folder if this run created it and committed nothing."""
        self._stack.close()
        if self._created:
            with suppress(OSError):
                self.folder.rmdir()

    def _require_replaceable(self) -> None:
        """Raise unless all that would be replaced are results of an earlier run: ``dicom`` may be the input folder."""
        existing = [part for part in PARTS if (self.folder / part).exists()]
        if existing and not self._overwrite:
            raise OutputNotEmptyError(f"the output folder already contains {' and '.join(existing)}")
        for part in existing:
            if foreign := foreign_files(self.folder, part):
                raise OutputNotEmptyError(
                    f"{part}/ in the output folder contains {len(foreign)} files that are not results of cspine",
                    advice="Choose another output folder; `overwrite` replaces results of cspine only.",
                )
        if existing:
            self._require_kept(existing)

    def _require_kept(self, parts: Iterable[str]) -> None:
        """Raise UsageError if an input is the output folder, or lies in a part of it that would be replaced."""
        own = self.folder.resolve()
        for path in (path.resolve() for path in self._inputs):
            if path == own or any(path.is_relative_to(own / part) for part in parts):
                raise UsageError(
                    "the output folder holds results that are read, and they would be replaced",
                    advice="Give another folder for the output.",
                )

    @property
    def staging(self) -> Path:
        """Folder with the unfinished ``dicom/`` and ``report/``."""
        if self._staging is None:
            raise OutputError("the output folder is not open")
        return self._staging

    def commit(self) -> None:
        """Move the finished results to the output folder.

        Raises
        ------
        OutputNotEmptyError
            If another run has written results there meanwhile.
        OutputError
            If they cannot be moved; the folder is then unchanged.
        """
        moved: list[tuple[Path, Path]] = []
        self._require_replaceable()
        try:
            for part in PARTS:
                target = self.folder / part
                if target.exists():
                    moved.append((target, target.rename(self.staging / f"old-{part}")))
                written = self.staging / part
                if any(written.iterdir()):
                    moved.append((written, written.rename(target)))
        except BaseException as error:
            for before, now in reversed(moved):
                with suppress(OSError):
                    now.rename(before)
            if not isinstance(error, OSError):
                raise
            raise OutputError(f"the results cannot be moved to the output folder: {error.strerror}") from error
