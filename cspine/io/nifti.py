"""Read and write image files of research data (NIfTI, NRRD, MHA) with SimpleITK, which uses the same axes and frame."""

from __future__ import annotations

import gzip
import math
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import SimpleITK as sitk  # noqa: N813
from nibabel.arrayproxy import ArrayProxy
from nibabel.spatialimages import SpatialImage
from numpy.typing import NDArray

from cspine.core.errors import InputError, OutputError
from cspine.core.geometry import Affine, Grid, make_affine
from cspine.core.volumes import CtVolume, HuArray, LabelVolume
from cspine.io.files import write_atomic
from cspine.io.foreign import foreign_file
from cspine.io.nifti_files import ENDING
from cspine.io.nifti_position import refuse_sheared, require_one_position

_MAX_LABEL = 255
#: Labels that were stored as floating-point numbers or scaled may differ from integers by rounding.
_LABEL_ROUNDING = 1e-3
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
_ADVICE = "Pass a complete three-dimensional NIfTI file (.nii.gz) with one channel."
_LABELS_ADVICE = "Pass a label image: a NIfTI file (.nii.gz) with integers from 0 to 255."


def read_ct(path: Path) -> CtVolume:
    """Return a CT image from a file whose values are Hounsfield units.

    Parameters
    ----------
    path : Path
        A NIfTI, NRRD or MetaImage file, by its ending.

    Raises
    ------
    InputError
        If the file is not a three-dimensional image with one channel.
    AmbiguousPositionError, ExcessiveTiltError
        If sform and qform place it differently, or it is sheared.
    """
    return ct_of(*_read(path))


def ct_of(array_zyx: NDArray[Any], affine_lps: Affine, notes: tuple[str, ...] = ()) -> CtVolume:
    """Return a CT volume of an array.

    Parameters
    ----------
    array_zyx : ndarray, shape (z, y, x)
        Hounsfield units: kept as int16 if the array has integers that fit, else as float32.
    affine_lps : ndarray, shape (4, 4)
        Index (x, y, z) to millimetres (LPS).
    notes : tuple of str
        What was changed in the image.
    """
    integers = np.issubdtype(array_zyx.dtype, np.integer) and array_zyx.min() >= -32768 and array_zyx.max() <= 32767
    hu_zyx: HuArray = array_zyx.astype(np.int16) if integers else array_zyx.astype(np.float32)
    return CtVolume(hu_zyx, affine_lps, notes=notes)


def read_labels(path: Path) -> LabelVolume:
    """Return a label image from a file with labels of `cspine.core.anatomy`.

    Parameters
    ----------
    path : Path
        A NIfTI, NRRD or MetaImage file, by its ending.

    Raises
    ------
    InputError
        If the file is not a three-dimensional image of integers from 0 to 255.
    """
    return labels_of(*_read(path), path.name)


def labels_of(array_zyx: NDArray[Any], affine_lps: Affine, name: str) -> LabelVolume:
    """Return an array of labels as uint8.

    Parameters
    ----------
    array_zyx : ndarray, shape (z, y, x)
        Integers, of any number type.
    affine_lps : ndarray, shape (4, 4)
        Index (x, y, z) to millimetres (LPS).
    name : str
        What a message calls it.

    Raises
    ------
    InputError
        If a value is no integer from 0 to 255.
    """
    labels = array_zyx if array_zyx.dtype.kind in "bui" else np.rint(array_zyx)
    rounded = labels is array_zyx or (
        np.isfinite(array_zyx).all() and np.abs(labels - array_zyx).max(initial=0) <= _LABEL_ROUNDING
    )
    if not rounded or labels.min(initial=0) < 0 or labels.max(initial=0) > _MAX_LABEL:
        raise InputError(f"{name} contains values that are not labels from 0 to {_MAX_LABEL}", advice=_LABELS_ADVICE)
    return LabelVolume(labels.astype(np.uint8, copy=False), affine_lps)


def write(path: Path, array_zyx: NDArray[Any], affine_lps: Affine) -> None:
    """Write an array with its affine as an image; the file appears when it is complete.

    Parameters
    ----------
    path : Path
        File to write; its ending names the format.
    array_zyx : ndarray, shape (z, y, x)
        Voxels, in a dtype that SimpleITK has.
    affine_lps : ndarray, shape (4, 4)
        Orthogonal affine from index (x, y, z) to millimetres in LPS.

    Raises
    ------
    OutputError
        If the file cannot be written, or its extension is not that of a known format.
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
        if path.name.endswith(ENDING) and not _is_complete(partial, array_zyx.nbytes):
            raise OutputError(f"{path.name} was not written completely; the disk may be full")

    write_atomic(path, save)


def _is_complete(path: Path, voxel_bytes: int) -> bool:
    """Return whether the length at the end of a gzip file (RFC 1952) is right: a full disk truncates it silently."""
    with path.open("rb") as file:
        file.seek(-4, 2)
        return int.from_bytes(file.read(4), "little") == (_NIFTI_HEADER + voxel_bytes) % 2**32


def refuse_damaged(path: Path) -> None:
    """Refuse a NIfTI file that fails its checksum or has fewer bytes than its header says.

    SimpleITK reads what is missing as 0, silently.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    InputError
        If it is damaged or truncated.
    """
    with foreign_file(lambda kind: InputError(f"{path.name} is damaged or truncated ({kind})", advice=_ADVICE)):
        present = _count_bytes(path)
        image = nibabel.load(path)
    if not isinstance(image, SpatialImage) or not isinstance(voxels := image.dataobj, ArrayProxy):
        return
    needed = voxels.offset + math.prod(voxels.shape) * voxels.dtype.itemsize
    if present < needed:
        raise InputError(f"{path.name} is truncated: it has {present} of {needed} bytes", advice=_ADVICE)


def _count_bytes(path: Path) -> int:
    """Return the number of bytes of a file, decompressed to its end, where gzip checks it (RFC 1952), if it is .gz."""
    if not path.name.lower().endswith(".gz"):
        return path.stat().st_size
    with gzip.open(path) as file:
        return sum(map(len, iter(lambda: file.read(_CHUNK), b"")))


def refuse_not_finite(path: Path) -> None:
    """Refuse a NIfTI file with values that are infinite or not numbers: ITK reads them as 0, silently.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    InputError
        If it has such values, or cannot be read.
    """
    with foreign_file(lambda _: InputError(f"cannot read {path.name}", advice=_ADVICE)):
        image = nibabel.load(path)
        assert isinstance(image, SpatialImage)
        if not np.issubdtype(image.get_data_dtype(), np.floating) or np.isfinite(np.asanyarray(image.dataobj)).all():
            return
    raise InputError(
        f"{path.name} has values that are infinite or not numbers",
        advice="Replace them, or convert the image again.",
    )


def _read(path: Path) -> tuple[NDArray[Any], Affine]:
    is_nifti = path.name.lower().endswith((".nii", ".nii.gz")) and path.is_file()
    if is_nifti:
        refuse_damaged(path)
        refuse_sheared(path)
        refuse_not_finite(path)
    try:
        image = read_image(path)
    except RuntimeError as error:
        raise InputError(f"cannot read {path.name}", advice=_ADVICE) from error
    array, affine = of_image(image, path.name)
    if is_nifti:
        require_one_position(path, Grid((array.shape[0], array.shape[1], array.shape[2]), affine))
    return array, affine


def is_image_name(path: Path) -> bool:
    """Return whether a file is a research image by the ending of its name: NIfTI, NRRD or MetaImage."""
    return path.name.lower().endswith(tuple(_READERS))


def read_image(path: Path) -> sitk.Image:
    """Read a file with the reader that its ending names.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    InputError
        If its ending is that of no known format.
    RuntimeError
        As SimpleITK raises it for a file that it cannot read.
    """
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

    Parameters
    ----------
    image : SimpleITK.Image
        The image.
    name : str
        What messages call it.

    Returns
    -------
    array_zyx : ndarray, shape (z, y, x)
        Voxels.
    affine_lps : ndarray, shape (4, 4)
        Affine from index (x, y, z) to millimetres in LPS.

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
