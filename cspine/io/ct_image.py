"""CT images that are not DICOM: a NIfTI file, or an image of SimpleITK or nibabel, as a volume whose place is certain.

Two readers must see a file at one place: nibabel follows the sform, ITK whichever of sform and qform it prefers.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import nibabel
import numpy as np
import SimpleITK as sitk  # noqa: N813
from nibabel.spatialimages import SpatialImage
from numpy.typing import NDArray

from cspine.core.ct_limits import checked_affine, require_possible_grid
from cspine.core.errors import AmbiguousPositionError, ExcessiveTiltError, InputError
from cspine.core.geometry import (
    Affine,
    Grid,
    deshear,
    is_orthogonal,
    orthogonal_grid,
    shear_mm,
    zyx_from_xyz,
)
from cspine.core.hounsfield import require_hounsfield
from cspine.core.volumes import CtVolume, HuArray
from cspine.io.nifti import ct_of, of_image, read_image, refuse_damaged, refuse_not_finite
from cspine.io.nifti_position import UNREADABLE, refuse_other_qform, require_one_position, stated_affine, stated_unit

_ADVICE = "Give a three-dimensional NIfTI file (.nii or .nii.gz) of one channel that is complete."
_AIR_HU = -1024.0
#: The tangent of the furthest gantry tilt, 45 degrees.
_MAX_SHEAR = 1.0


def read_ct_image(path: Path) -> CtVolume:
    """Read a CT from a NIfTI file, and make sure that it lies where its header says.

    Parameters
    ----------
    path : Path
        ``.nii`` or ``.nii.gz``.

    Returns
    -------
    CtVolume
        On an orthogonal grid; ``notes`` says where a sheared image was resampled to one.

    Raises
    ------
    InputError
        If the file is damaged, or is not a three-dimensional image of one channel.
    NotHounsfieldError
        If its values are not Hounsfield units.
    AmbiguousPositionError
        If neither sform nor qform is set, or the two place the image differently.
    ImpossibleGeometryError, SingleSliceError
        If its grid is not that of a CT of a patient.
    ExcessiveTiltError
        If the affine is sheared further than a tilted gantry does, or otherwise.
    """
    refuse_damaged(path)
    image = nibabel.load(path)
    if type(image) is not nibabel.Nifti1Image:  # ITK reads no NIfTI-2
        raise InputError(f"{path.name} is not a NIfTI-1 file of an image", advice=_ADVICE)
    affine = _stated_affine(image, path.name)
    if is_orthogonal(affine):
        ct = _read_orthogonal(path)
    else:
        refuse_other_qform(image, path.name)
        ct = _desheared(_voxels(image, path.name), affine, path.name)
    require_hounsfield(ct.hu_zyx, path.name)
    return ct


def ct_from_nibabel(image: SpatialImage) -> CtVolume:
    """Return the CT volume of an image of nibabel; a sheared one is resampled to an orthogonal grid.

    Parameters
    ----------
    image : nibabel.spatialimages.SpatialImage
        A three-dimensional image in Hounsfield units.

    Raises
    ------
    CSpineError
        As in `read_ct_image`.
    """
    name = "the nibabel image"
    voxels, affine = voxels_of_nibabel(image, name)
    ct = ct_of(voxels, affine) if is_orthogonal(affine) else _desheared(voxels, affine, name)
    require_hounsfield(ct.hu_zyx, name)
    return ct


def voxels_of_nibabel(image: SpatialImage, name: str) -> tuple[NDArray[Any], Affine]:
    """Return the array (z, y, x) and the affine (LPS) of an image of nibabel.

    Parameters
    ----------
    image : nibabel.spatialimages.SpatialImage
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
        If it is not a three-dimensional image of one channel, or its voxels cannot be read.
    AmbiguousPositionError
        If its header does not say where it lies.
    """
    affine = _stated_affine(image, name)
    return _voxels(image, name), affine


def ct_from_sitk(image: sitk.Image) -> CtVolume:
    """Return the CT volume of an image of SimpleITK, whose directions are always orthogonal.

    Parameters
    ----------
    image : SimpleITK.Image
        A three-dimensional image of one channel in Hounsfield units; its positions are in LPS already.

    Raises
    ------
    InputError
        If it is not a three-dimensional image of one channel.
    ImpossibleGeometryError, SingleSliceError
        If its grid is not that of a CT of a patient.
    NotHounsfieldError
        If its values are not Hounsfield units.
    """
    name = "the SimpleITK image"
    ct = ct_of(*of_image(image, name))
    require_possible_grid(ct.grid, name)
    require_hounsfield(ct.hu_zyx, name)
    return ct


def checked_ct(ct: CtVolume) -> CtVolume:
    """Return the volume of a caller if it is a CT in Hounsfield units, as one of a file; arrays are not copied.

    Parameters
    ----------
    ct : CtVolume
        A volume with values of any number type.

    Returns
    -------
    CtVolume
        The same volume; with int16 or float32 if it has others, and on an orthogonal grid if it is sheared.

    Raises
    ------
    InputError
        If the array does not have three axes, or no numbers.
    ImpossibleGeometryError, SingleSliceError, ExcessiveTiltError
        If its affine or its grid is not that of a CT of a patient.
    NotHounsfieldError
        If its values are not Hounsfield units.
    """
    name = "the CtVolume"
    array, affine = np.asarray(ct.hu_zyx), checked_affine(ct.affine_lps, name)
    if array.ndim != 3 or array.dtype.kind not in "iuf":
        raise InputError(f"{name} is no array of numbers with three axes", advice="Give Hounsfield units (z, y, x).")
    require_possible_grid(Grid((array.shape[0], array.shape[1], array.shape[2]), affine), name)
    known = array.dtype in (np.int16, np.float32)
    hu_zyx = cast(HuArray, array) if known else ct_of(array, affine).hu_zyx
    if not is_orthogonal(affine):
        if ct.source is not None:
            raise ExcessiveTiltError(
                f"the affine of {name} is sheared", advice="Read the series with `cspine.read_ct`."
            )
        ct = _desheared(hu_zyx, affine, name)
    elif hu_zyx is not ct.hu_zyx or affine is not ct.affine_lps:
        ct = replace(ct, hu_zyx=hu_zyx, affine_lps=affine)
    require_hounsfield(ct.hu_zyx, name)
    return ct


def _stated_affine(image: SpatialImage, name: str) -> Affine:
    """Return the affine (LPS) of the sform, or of the qform where there is no sform, if it is that of a CT."""
    if len(image.shape) != 3:
        raise InputError(f"{name} is not a three-dimensional image of one channel", advice=_ADVICE)
    if isinstance(image, nibabel.Nifti1Image) and not (_code(image, "sform") or _code(image, "qform")):
        raise AmbiguousPositionError(f"{name} has neither an sform nor a qform: left and right cannot be told apart")
    affine = stated_affine(image, name)
    x, y, z = image.shape
    require_possible_grid(Grid((z, y, x), affine), name, stated_unit(image))
    return affine


def _voxels(image: SpatialImage, name: str) -> NDArray[Any]:
    try:
        return zyx_from_xyz(np.asanyarray(image.dataobj))
    except UNREADABLE as error:
        raise InputError(f"cannot read the voxels of {name}", advice=_ADVICE) from error


def _read_orthogonal(path: Path) -> CtVolume:
    refuse_not_finite(path)
    try:
        array, affine = of_image(read_image(path), path.name)
    except RuntimeError as error:
        raise InputError(f"cannot read {path.name}", advice=_ADVICE) from error
    require_one_position(path, Grid((array.shape[0], array.shape[1], array.shape[2]), affine))
    return ct_of(array, affine)


def _code(image: nibabel.Nifti1Image, form: str) -> int:
    """Return the code of a form of the header; 0 where it is not set."""
    return int(image.header[f"{form}_code"])


def _desheared(voxels_zyx: NDArray[Any], affine: Affine, name: str) -> CtVolume:
    """Resample an image whose slices are shifted against each other, as by a tilted gantry, to an orthogonal grid."""
    x, y = (affine[:3, i] / np.linalg.norm(affine[:3, i]) for i in (0, 1))
    sheared = Grid((voxels_zyx.shape[0], voxels_zyx.shape[1], voxels_zyx.shape[2]), affine)
    shift = float(np.hypot(*shear_mm(affine)))
    between_slices = abs(float(np.cross(x, y) @ affine[:3, 2]))
    if abs(float(x @ y)) > 1e-4 or shift > _MAX_SHEAR * between_slices:
        raise ExcessiveTiltError(
            f"the affine of {name} is sheared by {shift:.2f} mm per slice of {between_slices:.2f} mm",
            advice="Resample the image to an orthogonal grid, or convert the original DICOM.",
        )
    orthogonal = orthogonal_grid(sheared)
    voxels = deshear(ct_of(voxels_zyx, affine).hu_zyx, sheared, orthogonal, _AIR_HU)
    note = f"the affine is sheared by {shift:.2f} mm per slice: image and labels are on an orthogonal grid"
    return ct_of(voxels, orthogonal.affine_lps, (note,))
