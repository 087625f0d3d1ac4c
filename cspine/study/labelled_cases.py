"""Labelled images from outside, as an nnU-Net raw dataset, brought to a recipe's grid for training."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from cspine.errors import InputError, TrainingError

_AIR_HU = -1000.0


@dataclass(frozen=True)
class LabelledCase:
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


def read_dataset(folder: Path, labels: dict[str, int], spacing_zyx: tuple[float, float, float]) -> list[LabelledCase]:
    """Read all training cases of an nnU-Net raw dataset (`imagesTr`, `labelsTr`, `dataset.json`).

    Parameters
    ----------
    folder : Path
        The dataset.
    labels : dict of str to int
        The labels that the network is to have.
    spacing_zyx : tuple of float
        The network's grid, millimetres.

    Raises
    ------
    TrainingError
        If the dataset is absent, empty, of other labels, or an image lacks its labels.
    """
    try:
        stated = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise TrainingError(
            f"no dataset.json in {folder}", advice="Give the folder of an nnU-Net raw dataset."
        ) from error
    except ValueError as error:
        raise TrainingError(f"dataset.json in {folder} is not JSON") from error
    if not isinstance(stated, dict) or stated.get("labels") != labels:
        raise TrainingError(f"the labels of {folder} are not those of the recipe: {', '.join(labels)}")
    paths = sorted((folder / "labelsTr").glob("*.nii.gz"))
    if not paths:
        raise TrainingError(f"no labelsTr/*.nii.gz in {folder}")
    return [_read(folder, path, spacing_zyx) for path in paths]


def _read(folder: Path, path: Path, spacing_zyx: tuple[float, float, float]) -> LabelledCase:
    name = path.name.removesuffix(".nii.gz")
    try:
        image = SimpleITK.DICOMOrient(
            SimpleITK.ReadImage(str(folder / "imagesTr" / f"{name}_0000.nii.gz"), SimpleITK.sitkFloat32), "LPS"
        )
        target = SimpleITK.DICOMOrient(SimpleITK.ReadImage(str(path), SimpleITK.sitkUInt8), "LPS")
    except RuntimeError as error:
        raise InputError(f"case {name} of {folder.name} cannot be read") from error
    if image.GetSize() != target.GetSize():
        raise TrainingError(f"image and labels of case {name} differ in size")
    grid = _grid(image, spacing_zyx)
    hu = SimpleITK.GetArrayFromImage(_sampled(image, grid, SimpleITK.sitkLinear, _AIR_HU))
    labels = SimpleITK.GetArrayFromImage(_sampled(target, grid, SimpleITK.sitkNearestNeighbor, 0))
    return LabelledCase(name, np.rint(hu).astype(np.int16), labels.astype(np.uint8))


def _grid(image: SimpleITK.Image, spacing_zyx: tuple[float, float, float]) -> SimpleITK.Image:
    """Return the geometry of ``image`` at another spacing, the same field of view, as an image without content."""
    wanted = np.array(spacing_zyx[::-1])
    spacing, size = np.array(image.GetSpacing()), np.array(image.GetSize())
    count = np.maximum(np.rint(size * spacing / wanted), 1).astype(int)
    index = 0.5 * (wanted / spacing - 1)
    grid = SimpleITK.Image([int(n) for n in count], SimpleITK.sitkUInt8)
    grid.SetSpacing(wanted.tolist())
    grid.SetDirection(image.GetDirection())
    grid.SetOrigin(image.TransformContinuousIndexToPhysicalPoint(index.tolist()))
    return grid


def _sampled(image: SimpleITK.Image, grid: SimpleITK.Image, how: int, outside: float) -> SimpleITK.Image:
    resampler = SimpleITK.ResampleImageFilter()
    resampler.SetReferenceImage(grid)
    resampler.SetInterpolator(how)
    resampler.SetDefaultPixelValue(outside)
    resampler.SetUseNearestNeighborExtrapolator(True)
    resampler.SetOutputPixelType(image.GetPixelID())
    sampled: SimpleITK.Image = resampler.Execute(image)
    return sampled
