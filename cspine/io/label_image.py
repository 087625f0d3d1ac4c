"""Labels in memory: arrays with an affine, and images of SimpleITK or nibabel, as numbers of any label scheme."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import SimpleITK as sitk  # noqa: N813
from nibabel.spatialimages import SpatialImage

from cspine.core.ct_limits import checked_affine
from cspine.core.errors import ExcessiveTiltError, InputError
from cspine.core.geometry import Affine, is_orthogonal
from cspine.core.volumes import LabelVolume
from cspine.io.ct_image import voxels_of_nibabel
from cspine.io.nifti import labels_of, of_image


def checked_labels(labels: LabelVolume) -> LabelVolume:
    """Return labels in memory as uint8, as those of a file.

    Parameters
    ----------
    labels : LabelVolume
        Labels of any number type.

    Raises
    ------
    InputError
        If the array does not have three axes, or a value is no integer from 0 to 255.
    ImpossibleGeometryError, ExcessiveTiltError
        If the affine cannot be inverted, or is sheared.
    """
    name = "the array of labels"
    array = np.asarray(labels.labels_zyx)
    if array.ndim != 3 or not array.size:
        raise InputError(f"labels have the shape {array.shape}", advice="Give an array of axes z, y and x.")
    if array.dtype.kind not in "buif":
        raise InputError(f"{name} holds no numbers", advice="Give integers from 0 to 255.")
    affine = _orthogonal(checked_affine(labels.affine_lps, name), name)
    return replace(labels, labels_zyx=labels_of(array, affine, name).labels_zyx, affine_lps=affine)


def labels_from_nibabel(image: SpatialImage) -> LabelVolume:
    """Return the labels of an image of nibabel.

    Parameters
    ----------
    image : nibabel.spatialimages.SpatialImage
        Labels on an orthogonal grid, in the numbers of any label scheme.

    Raises
    ------
    InputError
        If it is not a three-dimensional image of integers from 0 to 255.
    AmbiguousPositionError, ExcessiveTiltError
        If its header does not say where it lies, or it is sheared.
    """
    name = "the nibabel image"
    voxels, affine = voxels_of_nibabel(image, name)
    return checked_labels(labels_of(voxels, _orthogonal(affine, name), name))


def _orthogonal(affine: Affine, name: str) -> Affine:
    if not is_orthogonal(affine):
        raise ExcessiveTiltError(
            f"the affine of {name} is sheared", advice="Resample the labels to an orthogonal grid."
        )
    return affine


def labels_from_sitk(image: sitk.Image) -> LabelVolume:
    """Return the labels of an image of SimpleITK.

    Parameters
    ----------
    image : SimpleITK.Image
        Labels in the numbers of any label scheme.

    Raises
    ------
    InputError
        If it is not a three-dimensional image of integers from 0 to 255.
    """
    name = "the SimpleITK image"
    return checked_labels(labels_of(*of_image(image, name), name))
