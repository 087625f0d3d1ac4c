"""Where the labels of a case lie: a file, the output folder of a run, or a folder with one mask per vertebra."""

from __future__ import annotations

from pathlib import Path

from cspine.core.errors import InputError
from cspine.io import nifti
from cspine.io.masks import mask_name
from cspine.io.output import LABELS, LABELS_SIDECAR, SEGMENTATION
from cspine.pipeline.label_schemes import MASKS, SEG, VERSE, require_scheme
from cspine.pipeline.scheme_files import scheme_of_folder

#: Folder that TotalSegmentator's data set has its masks in, within the folder of a case.
_MASK_FOLDERS = (".", "segmentations")


def find_labels(path: Path, named: str | None = None) -> tuple[Path, str]:
    """Return the labels that a path leads to, a file or a folder of masks, and their scheme.

    Parameters
    ----------
    path : Path
        A label image, a DICOM Segmentation, the output folder of a run, or a folder with one mask per vertebra.
    named : str, optional
        The scheme that the caller says. If omitted, that of an image is ``nnunet`` by a dataset.json in its folder or
        beside it, else ``verse``; a file that is no image is a DICOM Segmentation.

    Raises
    ------
    UsageError
        If there is no scheme of that name.
    InputError
        If there is no such path, or a folder has no labels.
    LabelSchemeError
        If a dataset.json is needed, and of no use.
    """
    require_scheme(named)
    if not path.exists():
        raise InputError(
            "the labels do not exist",
            advice="Give a NIfTI file, a DICOM Segmentation, the output folder of a run, or a folder of masks.",
        )
    if path.is_dir():
        return _labels_in_folder(path, named)
    if named is not None:
        return path, named
    if not nifti.is_image_name(path):
        return path, SEG
    is_of_run = path.name == LABELS and (path.parent / LABELS_SIDECAR).is_file()
    return path, VERSE if is_of_run else scheme_of_folder(path.parent, None)


def _labels_in_folder(folder: Path, named: str | None) -> tuple[Path, str]:
    masks, of_run = mask_folder(folder), labels_of_run(folder, named)
    if of_run is not None:
        return of_run
    if masks is not None and named in (None, MASKS):
        return masks, MASKS
    raise InputError(
        f"{folder.resolve().name} is neither the output folder of a run nor a folder of masks"
        + ("" if named is None else f" with labels of the scheme {named}"),
        advice=f"Give the file with the labels. A folder of masks has files like {mask_name('C1')}.",
    )


def labels_of_run(folder: Path, named: str | None = None) -> tuple[Path, str] | None:
    """Return the labels in the output folder of `cspine run`, and their scheme: its SEG, else its NIfTI file, or None.

    Parameters
    ----------
    folder : Path
        The output folder, or its ``dicom/``.
    named : str, optional
        The scheme of the wanted ones; any if omitted.
    """
    places = (
        (folder / "dicom" / SEGMENTATION, SEG),
        (folder / SEGMENTATION, SEG),
        (folder / "report" / LABELS, VERSE),
    )
    return next(((file, scheme) for file, scheme in places if named in (None, scheme) and file.is_file()), None)


def mask_folder(folder: Path) -> Path | None:
    """Return where the masks of a case lie: its folder or ``segmentations`` in it; None where it has none."""
    places = (folder / name for name in _MASK_FOLDERS)
    return next((place for place in places if any(place.glob(mask_name("*")))), None)


def seg_file(place: Path) -> Path | None:
    """Return the DICOM Segmentation of a case: ``place.dcm``, that of a folder of `cspine run`, or a folder's one file.

    Parameters
    ----------
    place : Path
        Name of the case within its folder, without an ending.
    """
    file = place.with_name(f"{place.name}.dcm")
    if file.is_file():
        return file
    written = place / "dicom" / SEGMENTATION
    if written.is_file():
        return written
    folders = (place / "dicom", place)
    found = (sorted(path for path in folder.glob("*.dcm") if path.is_file()) for folder in folders)
    return next((files[0] for files in found if len(files) == 1), None)
