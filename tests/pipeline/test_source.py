"""What kind of input a path is."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from cspine.core.errors import InputError, UnreadableArchiveError
from cspine.pipeline.source import SourceKind, kind_of_source


def test_folders_archives_and_nifti_files_are_distinguished(tmp_path: Path) -> None:
    (tmp_path / "folder.nii.gz").mkdir()
    with zipfile.ZipFile(tmp_path / "study", "w") as archive:
        archive.writestr("a", "b")
    for name in ("ct.nii", "CT.NII.GZ"):
        (tmp_path / name).write_bytes(b"")
        assert kind_of_source(tmp_path / name) is SourceKind.NIFTI
    assert kind_of_source(tmp_path / "folder.nii.gz") is SourceKind.DICOM
    assert kind_of_source(tmp_path / "study") is SourceKind.DICOM


def test_another_path_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.zip").write_text("no archive")
    (tmp_path / "notes.txt").write_text("no CT")
    with pytest.raises(UnreadableArchiveError):
        kind_of_source(tmp_path / "broken.zip")
    for name in ("absent", "notes.txt"):
        with pytest.raises(InputError):
            kind_of_source(tmp_path / name)
