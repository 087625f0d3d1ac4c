"""CTSpine1K (https://github.com/MIRACLE-Center/CTSpine1K): masks ``NAME_seg.nii.gz``, numbered 1..25, for four sources.

The images stand beside the masks as ``NAME.nii.gz``, in any folder below; those of HNSCC-3DCT-RT come as DICOM from TCIA,
those of the Medical Segmentation Decathlon from there.
"""

from __future__ import annotations

from pathlib import Path

from cspine.errors import DatasetError
from cspine.study.datasets.sources.found import Found, FoundCase, age_of, niftis, people, sex_of

_MASK = "_seg.nii.gz"
_ORIGINS = {
    "1.3.6.1.4.1.9328": "COLONOG",
    "HN_": "HNSCC-3DCT-RT",
    "volume-covid19": "COVID-19",
    "colon_": "MSD colon",
    "liver_": "MSD liver",
}


def find(root: Path, hnscc: Path | None = None, decathlon: Path | None = None) -> Found:
    """Return the cases of CTSpine1K.

    Parameters
    ----------
    root : Path
        Folder of the masks, and of the images that come with them.
    hnscc : Path, optional
        Folder of HNSCC-3DCT-RT with a folder of DICOM files a patient (``HN_P001``).
    decathlon : Path, optional
        Folder of the Medical Segmentation Decathlon's colon task (``imagesTr``, ``imagesTs``).

    Raises
    ------
    DatasetError
        If there is no mask in the folder.
    """
    masks = niftis(root, _MASK)
    if not masks:
        raise DatasetError(f"no *{_MASK} of CTSpine1K in {root}")
    images = {p.name.removesuffix(".nii.gz"): p for p in niftis(root) if not p.name.endswith(_MASK)}
    base = dict.fromkeys(images, root)
    if decathlon is not None:
        for path in niftis(decathlon):
            if path.parent.name.startswith("images"):
                images.setdefault(path.name.removesuffix(".nii.gz"), path)
                base.setdefault(path.name.removesuffix(".nii.gz"), decathlon)
    patients = _patients(hnscc) if hnscc is not None else {}
    told = people(root, ("metadata.csv", "participants.csv", "participants.tsv"), "name")
    found = Found()
    for mask in masks:
        name = mask.name.removesuffix(_MASK)
        origin = next((known for start, known in _ORIGINS.items() if name.startswith(start)), "other")
        image, place = images.get(name), base.get(name)
        if image is None and name in patients:
            image, place = patients[name], hnscc
        if image is None or place is None:
            found.skip(f"CTSpine1K: the images of {origin} were not given")
            continue
        row = told.get(name, {})
        found.cases.append(
            FoundCase(
                f"ctspine1k_{name}",
                origin if origin != "other" else "CTSpine1K",
                name,
                image,
                mask,
                image.relative_to(place).as_posix(),
                "ctspine1k",
                age_of(row),
                sex_of(row),
            )
        )
    used = {case.image for case in found.cases}
    unmasked = sum(path not in used for path in {*images.values(), *patients.values()})
    if unmasked:
        found.skip("CTSpine1K: images without a mask", unmasked)
    return found


def _patients(hnscc: Path) -> dict[str, Path]:
    """Folders of DICOM files by patient: the folder named like one, however deep it lies."""
    if not hnscc.is_dir():
        raise DatasetError(f"no folder {hnscc}", advice="Give the folder into which the collection was downloaded.")
    found = {path.name: path for path in sorted(hnscc.rglob("HN_*")) if path.is_dir()}
    if not found:
        raise DatasetError(f"no folder of a patient (HN_P001 ...) in {hnscc}")
    return found
