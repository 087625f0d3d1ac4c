"""CTSpine1K (https://github.com/MIRACLE-Center/CTSpine1K): masks ``NAME_seg.nii.gz``, numbered 1..25, for four sources.

The names show the source: ``1.3.6.1.4.1.9328...`` and ``CTC-...`` (COLONOG), ``HN_P001`` (HNSCC-3DCT-RT), ``liver_0``
or ``colon_001`` (what CTSpine1K calls MSD T10 is the Decathlon's liver task), ``volume-covid19-A-0003_ct``. Images
stand beside the masks as ``NAME.nii.gz`` in any folder below, or in further folders: as NIfTI, or as DICOM from TCIA in
one folder per patient.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from cspine.core.errors import DatasetError
from cspine.io.nifti_files import nifti_stem
from cspine.io.walk import walk
from cspine.study.datasets.sources.found import Found, FoundCase, age_of, case_name, niftis, people, sex_of

_MASK = "_seg.nii.gz"
_NIFTI = ".nii.gz"
_ORIGINS = {
    "1.3.6.1.4.1.9328": "COLONOG",
    "CTC-": "COLONOG",
    "HN_": "HNSCC-3DCT-RT",
    "volume-covid19": "COVID-19",
    "colon_": "MSD colon",
    "liver_": "MSD liver",
}
_COVID = re.compile(r"^(volume-covid19-A-\d+)")
_TABLES = ("metadata.csv", "participants.csv", "participants.tsv")


def find(root: Path, hnscc: Path | None = None, decathlon: Path | None = None, others: Sequence[Path] = ()) -> Found:
    """Return the cases of CTSpine1K.

    Parameters
    ----------
    root : Path
        Folder of the masks, and of the images that come with them.
    hnscc : Path, optional
        Folder of HNSCC-3DCT-RT with a folder of DICOM files per patient (``HN_P001``).
    decathlon : Path, optional
        Folder of the Medical Segmentation Decathlon's colon task (``imagesTr``, ``imagesTs``).
    others : sequence of Path
        Further folders of images, NIfTI or DICOM: COLONOG, the liver task, COVID-19.

    Raises
    ------
    DatasetError
        If there is no mask in the folder, or no image in one of the others.
    """
    masks = niftis(root, _MASK)
    if not masks:
        raise DatasetError(f"no *{_MASK} of CTSpine1K in {root}")
    names = {mask.name.removesuffix(_MASK) for mask in masks}
    images: dict[str, tuple[Path, Path]] = {}
    for folder in [root, *(place for place in (decathlon, hnscc) if place is not None), *others]:
        added = {nifti_stem(path): path for path in _niftis(folder)}
        added |= {name: path for name, path in _patients(folder, names).items() if name not in added}
        if folder != root and not added:
            raise DatasetError(
                f"no image in {folder}: neither NAME.nii.gz nor a folder named like a patient (HN_P001 ...)"
            )
        images = {name: (path, folder) for name, path in added.items()} | images
    patient_rows = people(root, _TABLES, "name")
    found = Found()
    for mask in masks:
        name = mask.name.removesuffix(_MASK)
        origin = next((known for start, known in _ORIGINS.items() if name.startswith(start)), "CTSpine1K")
        if name not in images:
            found.skip(f"CTSpine1K: the images of {origin} were not given")
            continue
        image, place = images[name]
        covid = _COVID.match(name)
        row = patient_rows.get(name, {})
        found.cases.append(
            FoundCase(
                case_name("ctspine1k", name),
                source=origin,
                patient=covid[1] if covid is not None else name,
                image=image,
                labels=mask,
                origin=image.relative_to(place).as_posix(),
                scheme="ctspine1k",
                age_years=age_of(row),
                sex=sex_of(row),
            )
        )
    unmasked = sum(name not in names for name in images)
    if unmasked:
        found.skip("CTSpine1K: images without a mask", unmasked)
    return found


def _niftis(folder: Path) -> list[Path]:
    """Return the images of a folder: no masks of CTSpine1K, no labels of the Decathlon."""
    return [p for p in niftis(folder) if not p.name.endswith(_MASK) and not p.parent.name.startswith("labels")]


def _patients(folder: Path, names: set[str]) -> dict[str, Path]:
    """Return the folders of DICOM files by patient: those named like one, however deep they lie."""
    found: dict[str, Path] = {}
    for place, folders, _ in walk(folder):
        for name in [name for name in folders if name in names or name.startswith("HN_P")]:
            found.setdefault(name, place / name)
            folders.remove(name)  # what lies in it belongs to the patient
    return found
