"""Image files of research data (NIfTI, NRRD, MHA) in and out, through SimpleITK, whose axes and frame are cspine's."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray

from cspine.core.errors import InputError, OutputError
from cspine.core.geometry import Affine, make_affine
from cspine.core.volumes import CtVolume, HuArray, LabelVolume
from cspine.io.files import write_whole
from cspine.io.tables import counted

_MAX_LABEL = 255
_SUFFIX = ".nii.gz"
_NIFTI_HEADER = 352
_CHUNK = 2**22
#: Reader of each ending: SimpleITK would otherwise try its readers on the bytes until one takes them.
_READERS = {
    ".nii": "NiftiImageIO",
    ".nii.gz": "NiftiImageIO",
    ".nrrd": "NrrdImageIO",
    ".nhdr": "NrrdImageIO",
    ".mha": "MetaImageIO",
    ".mhd": "MetaImageIO",
}
_ADVICE = "Give a three-dimensional NIfTI file (.nii.gz) of one channel that is whole."
_LABELS_ADVICE = "Give a label image: a NIfTI file (.nii.gz) of whole numbers from 0 to 255."


def files_in(folder: Path) -> list[Path]:
    """Return the NIfTI files of a folder by name; hidden ones (unfinished, or made by a file manager) are none."""
    return sorted(path for path in folder.glob(f"*{_SUFFIX}") if not path.name.startswith("."))


def uncompressed(folders: Iterable[Path | None]) -> list[str]:
    """Return a sentence for each folder with NIfTI files that are not compressed, and so are not read."""
    told = []
    for folder in dict.fromkeys(place for place in folders if place is not None):
        count = sum(not path.name.startswith(".") for path in folder.glob("*.nii")) if folder.is_dir() else 0
        if count:
            told.append(f"{counted(count, 'file')} *.nii in {folder.name} not read: compress them, for example by gzip")
    return told


def case_name(path: Path) -> str:
    """Return the name of a NIfTI file without its ending."""
    return path.name.removesuffix(_SUFFIX)


def read_ct(path: Path) -> CtVolume:
    """Read a CT image; values are taken as Hounsfield units.

    Raises
    ------
    InputError
        If the file is not a three-dimensional image.
    """
    return ct_of(*_read(path))


def ct_of(array_zyx: NDArray[Any], affine_lps: Affine, notes: tuple[str, ...] = ()) -> CtVolume:
    """Return a CT volume: int16 where every value is a whole number that fits and the array says so, else float32."""
    integers = np.issubdtype(array_zyx.dtype, np.integer) and array_zyx.min() >= -32768 and array_zyx.max() <= 32767
    hu_zyx: HuArray = array_zyx.astype(np.int16) if integers else array_zyx.astype(np.float32)
    return CtVolume(hu_zyx, affine_lps, notes=notes)


def require_hounsfield(ct: CtVolume, name: str) -> None:
    """Refuse an image that has no value below 0: every CT in Hounsfield units has fat or air.

    Parameters
    ----------
    ct : CtVolume
        The image.
    name : str
        What the message calls it.

    Raises
    ------
    InputError
        If its values are not Hounsfield units.
    """
    if ct.hu_zyx.min(initial=0) >= 0:
        raise InputError(
            f"{name} has no value below 0: a label image, or not in Hounsfield units",
            advice="Give CT images in Hounsfield units alone.",
        )


def read_labels(path: Path) -> LabelVolume:
    """Read labels of `cspine.core.anatomy`.

    Raises
    ------
    InputError
        If the file is not a three-dimensional image of whole numbers from 0 to 255.
    """
    array, affine = _read(path)
    labels = array if np.issubdtype(array.dtype, np.integer) else np.rint(array)
    if (labels is not array and not np.array_equal(labels, array)) or labels.min() < 0 or labels.max() > _MAX_LABEL:
        raise InputError(f"{path.name} does not hold labels from 0 to {_MAX_LABEL}", advice=_LABELS_ADVICE)
    return LabelVolume(labels.astype(np.uint8, copy=False), affine)


def write(path: Path, array_zyx: NDArray[Any], affine_lps: Affine) -> None:
    """Write an array of shape (z, y, x) with its orthogonal affine; the file appears when it is whole.

    Raises
    ------
    OutputError
        If the file cannot be written, or its name is not that of a known format.
    """
    spacing = np.linalg.norm(affine_lps[:3, :3], axis=0)
    image = sitk.GetImageFromArray(array_zyx)
    image.SetSpacing([float(s) for s in spacing])
    image.SetOrigin([float(v) for v in affine_lps[:3, 3]])
    image.SetDirection([float(v) for v in (affine_lps[:3, :3] / spacing).ravel()])

    def save(partial: Path) -> None:
        try:
            sitk.WriteImage(image, str(partial), useCompression=True)
        except RuntimeError as error:
            raise OutputError(f"{path.name} cannot be written by SimpleITK") from error
        if path.name.endswith(_SUFFIX) and not _is_whole(partial, array_zyx.nbytes):
            raise OutputError(f"{path.name} was not written whole: the disk may be full")

    write_whole(path, save)


def _is_whole(path: Path, voxel_bytes: int) -> bool:
    """Compare the length at the end of a gzip file (RFC 1952) with what went in: a full disk cuts it without a word."""
    with path.open("rb") as file:
        file.seek(-4, 2)
        return int.from_bytes(file.read(4), "little") == (_NIFTI_HEADER + voxel_bytes) % 2**32


def refuse_damaged(path: Path) -> None:
    """Compare a gzip file with its own checksum (RFC 1952): SimpleITK reads one that was cut short without a word."""
    try:
        with gzip.open(path) as file:
            while file.read(_CHUNK):
                pass
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"cannot read {path.name}: it is damaged or cut short", advice=_ADVICE) from error


def _read(path: Path) -> tuple[NDArray[Any], Affine]:
    if path.name.endswith(".gz") and path.is_file():
        refuse_damaged(path)
    try:
        image = read_image(path)
    except RuntimeError as error:
        raise InputError(f"cannot read {path.name}", advice=_ADVICE) from error
    return of_image(image, path.name)


def read_image(path: Path) -> sitk.Image:
    """Read a file with the reader that its ending names; InputError for another ending, RuntimeError from SimpleITK."""
    reader = next((reader for ending, reader in _READERS.items() if path.name.lower().endswith(ending)), None)
    if reader is None:
        raise InputError(f"{path.name} is none of {', '.join(_READERS)}", advice=_ADVICE)
    file = sitk.ImageFileReader()
    file.SetImageIO(reader)
    file.SetFileName(str(path))
    image: sitk.Image = file.Execute()
    return image


def of_image(image: sitk.Image, name: str) -> tuple[NDArray[Any], Affine]:
    """Return the array (z, y, x) and the affine (LPS) of an image of SimpleITK.

    Raises
    ------
    InputError
        If it is not a three-dimensional image of one channel.
    """
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise InputError(f"{name} is not a three-dimensional image of one channel", advice=_ADVICE)
    axes = np.array(image.GetDirection()).reshape(3, 3)
    x, y, z = image.GetSpacing()
    return sitk.GetArrayFromImage(image), make_affine(axes, (x, y, z), np.array(image.GetOrigin()))
