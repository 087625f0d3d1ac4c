"""VerSe 2019 and 2020, subject based (like BIDS) and in the older layouts.

Subject based (https://github.com/anjany/verse): ``rawdata/sub-verse004/sub-verse004_ct.nii.gz`` with
``derivatives/sub-verse004/sub-verse004_seg-vert_msk.nii.gz`` and ``..._seg-subreg_ctd.json``; the scans of a patient
who has several are ``sub-verse408_split-verse223``, those of 2020 end in ``_dir-ax`` or the like. Older (the
challenges): ``verse004.nii.gz`` or ``verse500_CT-ax.nii.gz`` with ``..._seg.nii.gz`` and ``..._ctd.json`` beside it, or
one folder per case with ``ct.nii.gz``, ``seg-vert_msk.nii.gz`` and ``ctd.json``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from cspine.core.errors import DatasetError
from cspine.io.nifti_files import nifti_stem
from cspine.study.datasets.sources.found import Found, FoundCase, age_of, case_name, niftis, people, sex_of

_SUBJECT = re.compile(r"((?:verse|gl)\d+)", re.IGNORECASE)
_SPLIT = re.compile(r"_split-((?:verse|gl)\d+)", re.IGNORECASE)
_TABLES = ("participants.tsv", "participants.csv")
_NO_IMAGE = re.compile(r"[_-](seg|msk|snp)", re.IGNORECASE)
_MASKS = ("_seg-vert_msk", "_seg", "_CT_seg")
_CENTROIDS = ("_seg-subreg_ctd", "_seg-vb_ctd", "_ctd", "_iso-ctd")


def find(root: Path, year: int) -> Found:
    """Return the cases of VerSe in a folder.

    Parameters
    ----------
    root : Path
        Folder into which the training, validation and test parts were unpacked.
    year : int
        2019 or 2020: named in the cases.

    Raises
    ------
    DatasetError
        If nothing in the folder has one of the layouts.
    """
    files = niftis(root)
    there = set(files)
    patient_rows = people(root, _TABLES, "participant_id")
    found = Found()
    for image, stem in _images(files):
        subject = _SUBJECT.search(stem)
        if subject is None:
            found.skip(f"VerSe {year}: the name has no subject number")
            continue
        patient = subject[1].lower()
        case = case_name(f"verse{year}", stem)
        labels, centroids = _beside(image, stem, there)
        if labels is None:
            found.broken.append((case, "no mask (seg-vert_msk.nii.gz or _seg.nii.gz) belongs to the image"))
            continue
        row = patient_rows.get(f"sub-{patient}", patient_rows.get(patient, {}))
        found.cases.append(
            FoundCase(
                case,
                source=f"VerSe {year}",
                patient=patient,
                image=image,
                labels=labels,
                origin=image.relative_to(root).as_posix(),
                scheme="verse",
                age_years=age_of(row),
                sex=sex_of(row),
                centroids=centroids,
            )
        )
    if not found.cases and not found.broken:
        raise DatasetError(f"no scan of VerSe in {root}")
    return found


def scan_of(case: FoundCase) -> tuple[str, bool]:
    """Return the number of a scan in all of VerSe, and whether it is that of one scan of several of a patient."""
    split = _SPLIT.search(case.name)
    return (split[1].lower(), True) if split is not None else (case.patient, False)


def patient_of_scans(cases: Sequence[FoundCase]) -> dict[str, str]:
    """Return the patient of each scan whose number is not the patient's: ``verse223`` is a scan of ``verse408``."""
    return {scan: case.patient for case in cases for scan, is_split in [scan_of(case)] if is_split}


def repeats(later: Sequence[FoundCase], earlier: Sequence[FoundCase]) -> list[FoundCase]:
    """Return the cases of 2020 that are scans of 2019 again, in whatever layout each of the two is.

    Parameters
    ----------
    later, earlier : sequence of FoundCase
        Cases of VerSe 2020 and of VerSe 2019.
    """
    scans = {scan_of(case)[0] for case in earlier}
    patients = {case.patient for case in earlier}
    # A scan without a split number may be named after the patient: the older layouts do so.
    return [c for c in later if scan_of(c)[0] in scans or (not scan_of(c)[1] and c.patient in patients)]


def _images(files: list[Path]) -> list[tuple[Path, str]]:
    """Return the images with the stem by which they are named."""
    images = []
    for path in files:
        name = nifti_stem(path)
        if name == "ct":
            images.append((path, path.parent.name))
        elif name.endswith("_ct"):
            images.append((path, name.removesuffix("_ct")))
        elif _SUBJECT.search(name) and not _NO_IMAGE.search(name):
            images.append((path, name))
    return images


def _beside(image: Path, stem: str, there: set[Path]) -> tuple[Path | None, Path | None]:
    """Return the mask and centroids of an image, in its own folder or in the subject's folder of the derivatives."""
    if image.name == "ct.nii.gz":
        labels = [image.parent / "seg-vert_msk.nii.gz"]
        centroids = [image.parent / "ctd.json"]
    else:
        folders = [image.parent]
        if "rawdata" in image.parts:
            place = len(image.parts) - 1 - image.parts[::-1].index("rawdata")
            folders.append(Path(*image.parts[:place], "derivatives", *image.parts[place + 1 : -1]))
        labels = [folder / f"{stem}{end}.nii.gz" for folder in folders for end in _MASKS]
        centroids = [folder / f"{stem}{end}.json" for folder in folders for end in _CENTROIDS]
    return next((p for p in labels if p in there), None), next((p for p in centroids if p.is_file()), None)
