"""Labelled images of other sources, as an nnU-Net raw dataset, brought to a recipe's grid for training."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cspine.core.errors import InputError, TrainingError
from cspine.core.geometry import reorientation
from cspine.io import nifti
from cspine.io.documents import read_json
from cspine.io.nifti_files import files_in, nifti_stem
from cspine.study.cases import raw_pair

_HU_LIMITS = (-1024, 3071)
_ADVICE = "Give the folder of an nnU-Net raw dataset: imagesTr/X_0000.nii.gz, labelsTr/X.nii.gz, dataset.json."


@dataclass(frozen=True)
class TrainingVolumes:
    """One image with network labels on the recipe's grid, axes to L, P, S.

    Parameters
    ----------
    name : str
        Of the case in its dataset.
    hu_zyx : ndarray of int16, shape (z, y, x)
        Hounsfield units.
    labels_zyx : ndarray of uint8, shape (z, y, x)
        Network labels.
    """

    name: str
    hu_zyx: NDArray[np.int16]
    labels_zyx: NDArray[np.uint8]


def read_dataset(folder: Path, labels: dict[str, int], spacing_mm: float) -> list[TrainingVolumes]:
    """Read all training cases of an nnU-Net raw dataset (`imagesTr`, `labelsTr`, `dataset.json`) into memory.

    Parameters
    ----------
    folder : Path
        The dataset.
    labels : dict of str to int
        The labels that the network is to have.
    spacing_mm : float
        Voxel size of the network's grid.

    Raises
    ------
    TrainingError
        If the dataset is absent, empty, of other labels, or an image and its labels do not fit.
    InputError
        If a file cannot be read.
    """
    try:
        stated = read_json(folder / "dataset.json")
    except OSError as error:
        raise TrainingError(f"no dataset.json in {folder}", advice=_ADVICE) from error
    except ValueError as error:
        raise TrainingError(f"dataset.json in {folder} is not JSON", advice=_ADVICE) from error
    if not isinstance(stated, dict) or stated.get("labels") != labels:
        wanted = ", ".join(f"{name} = {number}" for name, number in labels.items())
        raise TrainingError(f"the labels of {folder.name} are not those of the recipe", advice=f"Wanted: {wanted}.")
    paths = files_in(folder / "labelsTr")
    if not paths:
        raise TrainingError(f"no labelsTr/*.nii.gz in {folder}", advice=_ADVICE)
    return [_read(folder, path, max(labels.values()), spacing_mm) for path in paths]


def digest(cases: list[TrainingVolumes]) -> str:
    """Return a checksum of the cases, by which a run recognises them; empty without cases."""
    if not cases:
        return ""
    checksum = hashlib.sha256()
    for case in cases:
        checksum.update(case.hu_zyx.tobytes())
        checksum.update(case.labels_zyx.tobytes())
    return checksum.hexdigest()


def _read(folder: Path, path: Path, last: int, spacing_mm: float) -> TrainingVolumes:
    name = nifti_stem(path)
    image, _ = raw_pair(folder, name)
    if not image.is_file():
        raise InputError(f"labelsTr/{path.name} has no imagesTr/{image.name}", advice=_ADVICE)
    ct, labelled = nifti.read_ct(image), nifti.read_labels(path)
    if not ct.grid.is_close(labelled.grid, 0.1):
        raise TrainingError(f"image and labels of case {name} lie on different grids", advice=_ADVICE)
    if int(labelled.labels_zyx.max()) > last:
        raise TrainingError(f"case {name} has label {int(labelled.labels_zyx.max())}, more than {last}", advice=_ADVICE)
    to_lps = reorientation(ct.affine_lps, "LPS")
    spacing_zyx = np.array(to_lps.grid(ct.grid).spacing_xyz[::-1])
    hu = _sampled(to_lps.apply(np.clip(ct.hu_zyx, *_HU_LIMITS).astype(np.float32)), spacing_zyx, spacing_mm, order=1)
    labels = _sampled(to_lps.apply(labelled.labels_zyx), spacing_zyx, spacing_mm, order=0)
    return TrainingVolumes(name, np.rint(hu).astype(np.int16), labels.astype(np.uint8))


def _sampled(array_zyx: NDArray[Any], spacing_zyx: NDArray[np.float64], spacing_mm: float, order: int) -> NDArray[Any]:
    """Sample an array at another voxel size in the same field of view; outermost voxels go on to its border."""
    factors = spacing_mm / spacing_zyx
    count = np.maximum(np.rint(np.array(array_zyx.shape) / factors), 1).astype(int)
    return np.asarray(
        ndimage.affine_transform(
            array_zyx, factors, offset=0.5 * factors - 0.5, output_shape=tuple(count), order=order, mode="nearest"
        )
    )
