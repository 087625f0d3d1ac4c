"""TotalSegmentator v2 (https://zenodo.org/records/10047292): a folder per case with ``ct.nii.gz`` and a mask per class.

``meta.csv`` (semicolons) has ``image_id``, ``age`` and ``gender``. Each case is a patient of its own: the data set says
no more.
"""

from __future__ import annotations

from pathlib import Path

from cspine.core.errors import DatasetError
from cspine.study.datasets.sources.found import Found, FoundCase, age_of, case_name, people, sex_of

SOURCE = "TotalSegmentator"


def find(root: Path) -> Found:
    """Return the cases of TotalSegmentator.

    Parameters
    ----------
    root : Path
        Folder with ``meta.csv`` and the cases' folders.

    Raises
    ------
    DatasetError
        If no folder in it has a ``ct.nii.gz``.
    """
    if not root.is_dir():
        raise DatasetError(f"no folder {root}", advice="Give the folder into which the data set was unpacked.")
    folders = sorted(path.parent for path in root.glob("*/ct.nii.gz") if not path.parent.name.startswith("."))
    if not folders:
        raise DatasetError(f"no s0000/ct.nii.gz of TotalSegmentator in {root}")
    patient_rows = people(root, ("meta.csv",), "image_id", ";")
    found = Found()
    for folder in folders:
        masks, case = folder / "segmentations", case_name("totalsegmentator", folder.name)
        if not masks.is_dir():
            found.broken.append((case, "no folder segmentations beside the image"))
            continue
        if not any(masks.glob("vertebrae_*.nii.gz")):
            found.skip("TotalSegmentator: no mask of a vertebra")
            continue
        row = patient_rows.get(folder.name, {})
        found.cases.append(
            FoundCase(
                case,
                source=SOURCE,
                patient=case,
                image=folder / "ct.nii.gz",
                labels=masks,
                origin=f"{folder.name}/ct.nii.gz",
                scheme="masks",
                age_years=age_of(row),
                sex=sex_of(row),
            )
        )
    return found
