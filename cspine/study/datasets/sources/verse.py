"""VerSe 2019 and 2020, subject based (like BIDS) and in the older layouts.

Subject based (https://github.com/anjany/verse): ``rawdata/sub-verse004/sub-verse004_ct.nii.gz`` with
``derivatives/sub-verse004/sub-verse004_seg-vert_msk.nii.gz`` and ``..._seg-subreg_ctd.json``; several scans of a patient
have ``_split-verseNNN`` or ``_dir-ax`` in their names. Older: ``verse004.nii.gz``, ``verse004_seg.nii.gz``,
``verse004_ctd.json`` beside each other, or a folder a case with ``ct.nii.gz``, ``seg-vert_msk.nii.gz``, ``ctd.json``.
"""

from __future__ import annotations

import re
from pathlib import Path

from cspine.errors import DatasetError
from cspine.study.datasets.sources.found import Found, FoundCase, age_of, niftis, people, sex_of

_SUBJECT = re.compile(r"(?:sub-)?((?:verse|gl)\d+)", re.IGNORECASE)
_TABLES = ("participants.tsv", "participants.csv")


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
    told = people(root, _TABLES, "participant_id")
    found = Found()
    for image, stem in _images(files):
        subject = _SUBJECT.search(stem)
        if subject is None:
            found.skip("VerSe: the name has no subject number")
            continue
        patient = subject[1].lower()
        case = f"verse{year}_{stem}"
        labels, centroids = _beside(image, stem, files)
        if labels is None:
            found.broken.append((case, "no mask (seg-vert_msk.nii.gz or _seg.nii.gz) belongs to the image"))
            continue
        row = told.get(f"sub-{patient}", told.get(patient, {}))
        found.cases.append(
            FoundCase(
                case,
                f"VerSe {year}",
                patient,
                image,
                labels,
                image.relative_to(root).as_posix(),
                "verse",
                age_of(row),
                sex_of(row),
                centroids,
            )
        )
    if not found.cases and not found.broken:
        raise DatasetError(f"no scan of VerSe in {root}")
    return found


def _images(files: list[Path]) -> list[tuple[Path, str]]:
    """Images with the stem by which they are named."""
    images = []
    for path in files:
        name = path.name.removesuffix(".nii.gz")
        if name == "ct":
            images.append((path, path.parent.name))
        elif name.endswith("_ct"):
            images.append((path, name.removesuffix("_ct")))
        elif _SUBJECT.search(name) and not re.search(r"_(seg|msk|snp)\b|_seg|-msk|_msk", name):
            images.append((path, name))
    return images


def _beside(image: Path, stem: str, files: list[Path]) -> tuple[Path | None, Path | None]:
    """Mask and centroids of an image, in its own folder or in the subject's folder of the derivatives."""
    if image.name == "ct.nii.gz":
        labels = [image.parent / "seg-vert_msk.nii.gz"]
        centroids = [image.parent / "ctd.json"]
    else:
        folders = [image.parent]
        if "rawdata" in image.parts:
            place = len(image.parts) - 1 - image.parts[::-1].index("rawdata")
            folders.append(Path(*image.parts[:place], "derivatives", *image.parts[place + 1 : -1]))
        labels = [f / f"{stem}{end}.nii.gz" for f in folders for end in ("_seg-vert_msk", "_seg", "_CT_seg")]
        endings = ("_seg-subreg_ctd", "_seg-vb_ctd", "_ctd", "_iso-ctd")
        centroids = [f / f"{stem}{end}.json" for f in folders for end in endings]
    there = set(files)
    return next((p for p in labels if p in there), None), next((p for p in centroids if p.is_file()), None)
