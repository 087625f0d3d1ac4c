"""Labels in memory: arrays with an affine, and images of SimpleITK or nibabel, as labels of `cspine.core.anatomy`."""

from __future__ import annotations

from dataclasses import replace

import SimpleITK as sitk  # noqa: N813
from nibabel.spatialimages import SpatialImage

from cspine.core.errors import ExcessiveTiltError, InputError
from cspine.core.geometry import is_orthogonal
from cspine.core.shape import vertebrae_only
from cspine.core.volumes import LabelVolume
from cspine.io.ct_image import voxels_of_nibabel
from cspine.io.nifti import labels_of, of_image


def checked_labels(labels: LabelVolume) -> LabelVolume:
    """Return labels in memory with the numbers of levels alone, as those of a file.

    Parameters
    ----------
    labels : LabelVolume
        Labels of any number type.

    Raises
    ------
    InputError
        If the array does not have three axes, or a value is no integer from 0 to 255.
    """
    if labels.labels_zyx.ndim != 3:
        raise InputError(f"labels have {labels.labels_zyx.ndim} axes", advice="Give an array of axes z, y and x.")
    numbers = labels_of(labels.labels_zyx, labels.affine_lps, "the array of labels")
    return replace(labels, labels_zyx=vertebrae_only(numbers.labels_zyx))


def labels_from_nibabel(image: SpatialImage) -> LabelVolume:
    """Return the labels of an image of nibabel.

    Parameters
    ----------
    image : nibabel.spatialimages.SpatialImage
        Labels with the numbers of VerSe on an orthogonal grid.

    Raises
    ------
    InputError
        If it is not a three-dimensional image of integers from 0 to 255.
    AmbiguousPositionError, ExcessiveTiltError
        If its header does not say where it lies, or it is sheared.
    """
    name = "the nibabel image"
    voxels, affine = voxels_of_nibabel(image, name)
    if not is_orthogonal(affine):
        raise ExcessiveTiltError(
            f"the affine of {name} is sheared", advice="Resample the labels to an orthogonal grid."
        )
    return checked_labels(labels_of(voxels, affine, name))


def labels_from_sitk(image: sitk.Image) -> LabelVolume:
    """Return the labels of an image of SimpleITK.

    Parameters
    ----------
    image : SimpleITK.Image
        Labels with the numbers of VerSe.

    Raises
    ------
    InputError
        If it is not a three-dimensional image of integers from 0 to 255.
    """
    name = "the SimpleITK image"
    return checked_labels(labels_of(*of_image(image, name), name))
