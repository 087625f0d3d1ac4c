"""Payload folders as the MONAI Informatics Gateway stores them, and studies of a phantom's neck to fill them with.

The Gateway writes ``{payload}/dcm/{StudyUID}/{SeriesUID}/{SOPUID}.dcm`` in the transfer syntax that came in, a
side-car ``....dcm.json`` with the header beside each, and groups what comes within its time-out into one payload. So
instances that come late are a payload of their own.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    MRImageStorage,
    RLELossless,
    XRayRadiationDoseSRStorage,
)

from cspine.core.geometry import resample_labels
from cspine.core.volumes import CtVolume, LabelVolume, ModelIdentity
from cspine.dicom.write_ct import CtSeriesDescription, derive_uid, save_ct, write_ct_series
from cspine.inference.predict import Inference
from cspine.pipeline import steps
from tests.builders.ct_series import scout
from tests.builders.spine_phantom import MODEL, Phantom, draw, hu_of

NECK = Phantom(shape_zyx=(86, 46, 40), spacing_xyz=(2.0, 2.0, 2.0))
SLICES = NECK.shape_zyx[0]
BONE = CtSeriesDescription(uid_seed="bone", study_seed="gateway", patient_name="SECRET^Name", patient_id="PRIVATE-77")
#: One after another, as several senders may compress.
SYNTAXES = (JPEGLSLossless, ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless)


def write_bone_series(folder: Path, description: CtSeriesDescription = BONE) -> list[Path]:
    """Write the phantom's CT, one file per slice from foot to head, alternating between the four transfer syntaxes."""
    labels = draw(NECK)
    hu = hu_of(labels > 0)
    ct = CtVolume(hu, NECK.grid().affine_lps)
    written = [
        write_ct_series(ct, folder / str(number), replace(description, transfer_syntax=syntax))
        for number, syntax in enumerate(SYNTAXES)
    ]
    return [written[index % len(SYNTAXES)][index] for index in range(SLICES)]


def write_other_series(folder: Path, like: Path) -> list[Path]:
    """Write what else comes with a neck, after an uncompressed slice: a scout, an MR image and a dose report."""
    folder.mkdir(parents=True)
    header = dcmread(like)
    image = scout(header, 1)
    image.SeriesInstanceUID = derive_uid("scout series")
    resonance = copy.deepcopy(header)
    resonance.SOPClassUID, resonance.Modality = MRImageStorage, "MR"
    resonance.SOPInstanceUID, resonance.SeriesInstanceUID = derive_uid("mr"), derive_uid("mr series")
    paths = [folder / "scout.dcm", folder / "mr.dcm", folder / "dose.dcm"]
    save_ct(image, paths[0], RLELossless)
    save_ct(resonance, paths[1], ExplicitVRLittleEndian)
    report = _dose_report(header)
    report.save_as(paths[2], enforce_file_format=True)
    return paths


def _dose_report(like: Dataset) -> Dataset:
    report = Dataset()
    for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "StudyDate", "StudyTime"):
        setattr(report, keyword, like[keyword].value)
    report.SOPClassUID, report.Modality = XRayRadiationDoseSRStorage, "SR"
    report.SOPInstanceUID, report.SeriesInstanceUID = derive_uid("dose"), derive_uid("dose series")
    report.file_meta = copy.deepcopy(like.file_meta)
    report.file_meta.MediaStorageSOPClassUID = report.SOPClassUID
    report.file_meta.MediaStorageSOPInstanceUID = report.SOPInstanceUID
    report.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return report


def receive(payload: Path, files: Iterable[Path]) -> Path:
    """Store files as the Gateway does; return the folder that the application is given."""
    for file in files:
        dataset = dcmread(file, stop_before_pixels=True)
        folder = payload / "dcm" / dataset.StudyInstanceUID / dataset.SeriesInstanceUID
        folder.mkdir(parents=True, exist_ok=True)
        stored = folder / f"{dataset.SOPInstanceUID}.dcm"
        stored.write_bytes(file.read_bytes())
        stored.with_suffix(".dcm.json").write_text(json.dumps(dataset.to_json_dict()), encoding="utf-8")
    return payload / "dcm"


def fingerprint(folder: Path) -> str:
    """Digest over the names and contents below a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        digest.update(str(path.relative_to(folder)).encode())
        digest.update(path.read_bytes() if path.is_file() else b"")
    return digest.hexdigest()


@contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """Take away the permission to write below a folder, as a read-only mount does, and give it back."""
    there = [folder, *folder.rglob("*")]
    for path in there:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        yield folder
    finally:
        for path in there:
            path.chmod(0o755 if path.is_dir() else 0o644)


@pytest.fixture
def phantom_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that knows where the phantom's vertebrae are, instead of a network."""
    predict_with(monkeypatch, MODEL)


def predict_with(monkeypatch: pytest.MonkeyPatch, model: ModelIdentity) -> None:
    """Let the phantom's vertebrae be predicted under the name of a model."""

    def infer(ct: CtVolume, *_: object) -> Inference:
        predicted = resample_labels(draw(NECK), NECK.grid(), ct.grid)
        labels = LabelVolume(predicted, ct.affine_lps, model)
        return Inference(labels=labels, auxiliary_zyx=np.zeros(predicted.shape, dtype=bool), record={"device": "cpu"})

    monkeypatch.setattr(steps, "require_runnable", lambda *_: None)  # no network runs
    monkeypatch.setattr(steps, "infer", infer)
