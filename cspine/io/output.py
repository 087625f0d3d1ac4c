"""The output folder of a study: `dicom/` and `report/` appear together, when both are complete.

A folder without files does not appear.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import RLock
from types import TracebackType

from cspine.core.anatomy import VERTEBRAE
from cspine.core.errors import OutputError, OutputNotEmptyError, UsageError
from cspine.io.own_files import listed_files
from cspine.io.staging import MOVING, remove_abandoned, staging_folder

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
#: Folders within report/, and the DICOM objects of surfaces.
SURFACES, ELEMENTS = "surfaces", "fe"
#: Report of each of these folders, which lists its files.
SURFACES_REPORT, ELEMENTS_REPORT = "surfaces.json", "elements.json"
SURFACE_OBJECT = "surface-{level}.dcm"
_SURFACE_OBJECTS = {SURFACE_OBJECT.format(level=level.name) for level in VERTEBRAE}

# In this order, so that a router that watches dicom/ finds a complete report.
_FILES = {
    "report": {SUMMARY, MEASUREMENTS, MEASURED, PREVIEW, LABELS, LABELS_SIDECAR, PAGE, SURFACES, ELEMENTS},
    "dicom": {SEGMENTATION, REPORT, PDF, SC, KEY_OBJECTS, STRUCTURES, *_SURFACE_OBJECTS},
}
#: Folders of an output folder.
RESULT_PARTS = frozenset(_FILES)
_FOLDERS = {f"report/{SURFACES}": SURFACES_REPORT, f"report/{ELEMENTS}": ELEMENTS_REPORT}
_STAGING, _OLD = ".cspine-", "old-"


def foreign_files(folder: Path, parts: Iterable[str] = tuple(_FILES)) -> list[str]:
    """Return the paths within the parts of an output folder that no run has written.

    Parameters
    ----------
    folder : Path
        The output folder.
    parts : iterable of str
        ``"report"``, ``"dicom"``, or both.

    Raises
    ------
    OSError
        If a folder cannot be read.
    """
    found = []
    for part in parts:
        if not (folder / part).is_dir():
            continue
        names = {path.name for path in (folder / part).iterdir()}
        found += [f"{part}/{name}" for name in names - _FILES[part]]
        for name in (path for path in _FOLDERS if path.startswith(f"{part}/") and (folder / path).is_dir()):
            listed = listed_files(folder / name, _FOLDERS[name])
            found += [f"{name}/{path.name}" for path in (folder / name).iterdir() if path.name not in listed]
    return sorted(found)


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
        self._moving = RLock()

    def __enter__(self) -> StudyOutput:
        try:
            remove_abandoned(self.folder, _STAGING, restore=self._restore)
            self._require_replaceable()
            self._created = not self.folder.exists()
            self.folder.mkdir(parents=True, exist_ok=True)
            self._staging = self._stack.enter_context(staging_folder(self.folder, _STAGING))
            for part in _FILES:
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
        """Remove the staging folder, and the output folder if this run created it and committed nothing.

        Another thread may call it: results that are being moved are moved first.
        """
        with self._moving:
            self._stack.close()
            if self._created:
                with suppress(OSError):
                    self.folder.rmdir()

    def _require_replaceable(self) -> None:
        """Raise unless all that would be replaced are results of an earlier run: ``dicom`` may be the input folder."""
        existing = [part for part in _FILES if (self.folder / part).exists()]
        if existing and not self._overwrite:
            raise OutputNotEmptyError(f"the output folder already contains {' and '.join(existing)}")
        for part in existing:
            foreign = foreign_files(self.folder, (part,))
            if foreign:
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
        with self._moving:
            self._require_replaceable()
            marker = self.staging / MOVING
            try:
                parts = [part for part in _FILES if any((self.staging / part).iterdir())]
                marker.write_text("\n".join(parts), encoding="ascii")
                for part in _FILES:
                    if (self.folder / part).exists():
                        (self.folder / part).rename(self.staging / f"{_OLD}{part}")
                for part in parts:
                    (self.staging / part).rename(self.folder / part)
            except BaseException as error:
                with suppress(OSError):
                    self._restore(self.staging)
                if not isinstance(error, OSError):
                    raise
                raise OutputError(f"the results cannot be moved to the output folder: {error.strerror}") from error
            with suppress(OSError):
                marker.unlink()

    def _restore(self, staging: Path) -> None:
        """Put back what a call had moved that did not come to its end."""
        parts = (staging / MOVING).read_text(encoding="ascii").split()
        waiting = [part for part in parts if (staging / part).exists()]
        if parts and not waiting:
            return
        for part in _FILES:
            target, replaced = self.folder / part, staging / f"{_OLD}{part}"
            if part in parts and part not in waiting and target.exists():
                target.rename(staging / part)
            if replaced.exists():
                replaced.rename(target)
