"""One case written in the layout of each public data set, as `cspine.study.datasets.sources` reads them."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cspine.core.anatomy import SACRUM, VERTEBRAE
from cspine.core.geometry import orientation_of
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.dicom.write_ct import CtSeriesDescription, write_ct_series
from cspine.io import nifti
from cspine.io.files import write_folder_atomic

_META = "image_id;age;gender;institute;study_type;split;manufacturer;scanner_model;kvp;pathology;pathology_location"


@dataclass(frozen=True)
class Person:
    """Who was scanned.

    Parameters
    ----------
    age_years : int
        Age.
    sex : str
        ``"M"`` or ``"F"``.
    """

    age_years: int
    sex: str


def write_verse(root: Path, number: int, ct: CtVolume, labels: LabelVolume, person: Person) -> None:
    """Write a case of VerSe, subject based: rawdata, derivatives with mask and centroids, participants.tsv."""
    subject = f"sub-verse{number:03d}"
    without_sacrum = _without_sacrum(labels)
    nifti.write(root / "rawdata" / subject / f"{subject}_ct.nii.gz", ct.hu_zyx, ct.affine_lps)
    beside = root / "derivatives" / subject
    nifti.write(beside / f"{subject}_seg-vert_msk.nii.gz", without_sacrum.labels_zyx, without_sacrum.affine_lps)
    centroids = json.dumps(centroids_of(without_sacrum))
    (beside / f"{subject}_seg-subreg_ctd.json").write_text(centroids, encoding="utf-8")
    _add_row(root / "participants.tsv", "participant_id\tage\tsex", f"{subject}\t{person.age_years}\t{person.sex}")


def write_verse_flat(root: Path, number: int, ct: CtVolume, labels: LabelVolume) -> None:
    """Write a case of VerSe in the older layout: image, mask and centroids beside each other."""
    stem = f"verse{number:03d}"
    without_sacrum = _without_sacrum(labels)
    nifti.write(root / f"{stem}.nii.gz", ct.hu_zyx, ct.affine_lps)
    nifti.write(root / f"{stem}_seg.nii.gz", without_sacrum.labels_zyx, without_sacrum.affine_lps)
    (root / f"{stem}_ctd.json").write_text(json.dumps(centroids_of(without_sacrum)), encoding="utf-8")


def write_hnscc(dicom: Path, masks: Path, number: int, ct: CtVolume, labels: LabelVolume, person: Person) -> None:
    """Write a patient of HNSCC-3DCT-RT as DICOM, and the mask as CTSpine1K has it."""
    patient = f"HN_P{number:03d}"
    description = CtSeriesDescription(
        uid_seed=f"dry run {patient}",
        patient_id=patient,
        patient_sex=person.sex,
        patient_age=f"{person.age_years:03d}Y",
    )
    write_folder_atomic(dicom / patient / "CT", lambda partial: write_ct_series(ct, partial, description))
    write_mask(masks / "labels", patient, labels)


def write_ctspine1k(root: Path, name: str, ct: CtVolume, labels: LabelVolume) -> None:
    """Write a case of CTSpine1K with its image."""
    nifti.write(root / "images" / f"{name}.nii.gz", ct.hu_zyx, ct.affine_lps)
    write_mask(root / "labels", name, labels)


def write_msd_colon(decathlon: Path, masks: Path, number: int, ct: CtVolume, labels: LabelVolume) -> None:
    """Write an image of the Decathlon's colon task, and the mask as CTSpine1K has it."""
    name = f"colon_{number:03d}"
    nifti.write(decathlon / "imagesTr" / f"{name}.nii.gz", ct.hu_zyx, ct.affine_lps)
    write_mask(masks / "labels", name, labels)


def write_mask(folder: Path, name: str, labels: LabelVolume) -> None:
    """Write a mask of CTSpine1K: 1..25, no sacrum; T13 is background there."""
    without_sacrum = _without_sacrum(labels).labels_zyx
    nifti.write(
        folder / f"{name}_seg.nii.gz", np.where(without_sacrum == 28, np.uint8(0), without_sacrum), labels.affine_lps
    )


def write_totalsegmentator(root: Path, number: int, ct: CtVolume, labels: LabelVolume, person: Person) -> None:
    """Write a case of TotalSegmentator v2: the image, one mask per class, and its row of meta.csv."""
    name = f"s{number:04d}"
    folder = root / name
    nifti.write(folder / "ct.nii.gz", ct.hu_zyx, ct.affine_lps)
    known = [level for level in VERTEBRAE if level.name not in ("T13", "L6")]
    for level in known:
        mask = (labels.labels_zyx == level.label).astype(np.uint8)
        nifti.write(folder / "segmentations" / f"vertebrae_{level.name}.nii.gz", mask, labels.affine_lps)
    sacrum = (labels.labels_zyx == SACRUM).astype(np.uint8)
    nifti.write(folder / "segmentations" / "sacrum.nii.gz", sacrum, labels.affine_lps)
    row = f"{name};{person.age_years};{person.sex.lower()};dry run;ct neck;train;none;synthetic;120;no_pathology;none"
    _add_row(root / "meta.csv", _META, row)


def centroids_of(labels: LabelVolume) -> list[dict[str, object]]:
    """Return VerSe's list of centroids: the orientation, then each vertebra's centre in voxels of the image."""
    listed: list[dict[str, object]] = [{"direction": list(orientation_of(labels.affine_lps))}]
    for level in VERTEBRAE:
        index = np.argwhere(labels.labels_zyx == level.label)
        if len(index):
            z, y, x = (float(v) for v in index.mean(axis=0))
            listed.append({"label": level.label, "X": round(x, 1), "Y": round(y, 1), "Z": round(z, 1)})
    return listed


def _without_sacrum(labels: LabelVolume) -> LabelVolume:
    without_sacrum = np.where(labels.labels_zyx == SACRUM, np.uint8(0), labels.labels_zyx)
    return LabelVolume(without_sacrum, labels.affine_lps)


def _add_row(path: Path, header: str, row: str) -> None:
    """Add a line to a table of patients, unless one for the same patient stands there."""
    between = "\t" if "\t" in header else ";"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else [header]
    key = next(csv.reader([row], delimiter=between))[0]
    lines = [line for line in lines if next(csv.reader([line], delimiter=between))[0] != key]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*lines, row]) + "\n", encoding="utf-8")
