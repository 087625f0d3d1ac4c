"""NIfTI in and out, for research data: volumes in cspine's axis order with LPS affines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from numpy.typing import NDArray

from cspine.errors import InputError
from cspine.geometry import Affine, ras_to_lps
from cspine.volumes import CtVolume, LabelVolume

_MAX_LABEL = 255


def read_ct(path: Path) -> CtVolume:
    """Read a CT image; values are taken as Hounsfield units.

    Raises
    ------
    InputError
        If the file is not a three-dimensional NIfTI image.
    """
    array, affine = _read(path)
    whole = np.issubdtype(array.dtype, np.integer) and array.min() >= -32768 and array.max() <= 32767
    return CtVolume(array.astype(np.int16) if whole else array.astype(np.float32), affine)


def read_labels(path: Path) -> LabelVolume:
    """Read labels of `cspine.anatomy`.

    Raises
    ------
    InputError
        If the file is not a three-dimensional NIfTI image of whole numbers from 0 to 255.
    """
    array, affine = _read(path)
    labels = np.rint(array)
    if not np.array_equal(labels, array) or labels.min() < 0 or labels.max() > _MAX_LABEL:
        raise InputError(f"{path.name} does not hold labels from 0 to {_MAX_LABEL}")
    return LabelVolume(labels.astype(np.uint8), affine)


def write(path: Path, array_zyx: NDArray[Any], affine_lps: Affine) -> None:
    """Write an array of shape (z, y, x) with its LPS affine; the file appears when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(np.ascontiguousarray(array_zyx.transpose(2, 1, 0)), ras_to_lps(affine_lps))
    image.header.set_xyzt_units("mm")
    partial = path.with_name(f".partial-{path.name}")
    nib.save(image, partial)
    partial.replace(path)


def _read(path: Path) -> tuple[NDArray[Any], Affine]:
    try:
        image = nib.load(path)
        array = np.asanyarray(image.dataobj)
    except (OSError, ImageFileError, EOFError) as error:
        raise InputError(f"cannot read {path.name}: {error}") from error
    if array.ndim != 3:
        raise InputError(f"{path.name} has {array.ndim} dimensions, expected 3")
    return array.transpose(2, 1, 0), ras_to_lps(image.affine)
