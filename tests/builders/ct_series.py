"""Synthetic DICOM CT series: valid ones in any geometry, and every fault that the reader must notice.

`build` gives datasets in slice order; the functions after it break them; `save_all` writes them. The phantom's value is
linear in patient coordinates, so a flipped axis, a swapped spacing or a wrong slice order changes values, and linear
interpolation does not.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from pydicom import DataElement, Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedCTImageStorage, ExplicitVRLittleEndian, JPEGLosslessSV1
from scipy.spatial.transform import Rotation

from cspine.core.geometry import Grid, to_lps
from cspine.dicom.write_ct import CtSeriesDescription, SlicePlane, ct_dataset, derive_uid, save_ct

_LETTER = {
    "L": (1, 0, 0),
    "R": (-1, 0, 0),
    "P": (0, 1, 0),
    "A": (0, -1, 0),
    "S": (0, 0, 1),
    "I": (0, 0, -1),
}

_TYPE_2_NUMBERS = ("AcquisitionNumber", "SeriesNumber", "KVP", "InstanceNumber")
_TYPE_2_TEXTS = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "PatientPosition",
    "PositionReferenceIndicator",
    "Manufacturer",
    "BodyPartExamined",
    "ConvolutionKernel",
)
# What stands in functional groups in an Enhanced CT, and not at the top.
_PER_FRAME = (
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
    "WindowCenter",
    "WindowWidth",
    "ImageType",
    "KVP",
    "ConvolutionKernel",
    "AcquisitionNumber",
)


def right_handed_orientations() -> list[str]:
    """The 24 orientations (x, y, z axis) that a stack of slices along its normal can have."""
    return [
        x + y + z
        for x in _LETTER
        for y in _LETTER
        for z in _LETTER
        if np.linalg.det(np.array([_LETTER[x], _LETTER[y], _LETTER[z]], dtype=float)) > 0.5
    ]


def phantom_hu(points_lps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Value of the phantom at points, shape (..., 3), in HU: linear, another slope along each patient axis."""
    return np.asarray(40.0 + points_lps @ np.array([3.0, -5.0, 7.0]))


def phantom_on(grid: Grid) -> NDArray[np.float64]:
    """The phantom on a grid, shape (z, y, x), in HU, not rounded."""
    z, y, x = np.indices(grid.shape_zyx, dtype=float)
    index = np.stack([x, y, z], axis=-1).reshape(-1, 3)
    return phantom_hu(to_lps(grid.affine_lps, index)).reshape(grid.shape_zyx)


@dataclass(frozen=True)
class Stack:
    """Geometry and coding of a series; the defaults make an ordinary axial CT with non-square pixels.

    Parameters
    ----------
    orientation : str
        Where increasing column, row and slice index lead, one of `right_handed_orientations`.
    shape_zyx, spacing_xyz, origin_lps
        Size, millimetres per step, position of the first voxel.
    rotation_deg : tuple of float
        Rotation about the patient's x, y, z axes on top: an oblique stack.
    tilt_deg : float
        Gantry tilt: each slice is shifted along the column direction.
    shear_x_deg : float
        The same along rows, which no gantry does.
    slopes, intercepts : tuple of float
        One a slice, used alternately.
    signed : bool
        Pixel Representation.
    """

    orientation: str = "LPS"
    shape_zyx: tuple[int, int, int] = (6, 9, 8)
    spacing_xyz: tuple[float, float, float] = (0.5, 0.75, 2.0)
    origin_lps: tuple[float, float, float] = (-11.0, 7.0, -23.0)
    rotation_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    tilt_deg: float = 0.0
    shear_x_deg: float = 0.0
    slopes: tuple[float, ...] = (1.0,)
    intercepts: tuple[float, ...] = (-1024.0,)
    signed: bool = False
    description: CtSeriesDescription = field(default_factory=lambda: CtSeriesDescription(uid_seed="series"))

    @property
    def grid(self) -> Grid:
        """The positions of the planes; sheared where there is tilt."""
        rotation = Rotation.from_euler("xyz", self.rotation_deg, degrees=True).as_matrix()
        axes = rotation @ np.array([_LETTER[c] for c in self.orientation], dtype=float).T
        affine = np.eye(4)
        affine[:3, :3] = axes * np.array(self.spacing_xyz)
        step = self.spacing_xyz[2]
        affine[:3, 2] += axes[:, 1] * step * math.tan(math.radians(self.tilt_deg))
        affine[:3, 2] += axes[:, 0] * step * math.tan(math.radians(self.shear_x_deg))
        affine[:3, 3] = self.origin_lps
        return Grid(self.shape_zyx, affine)


def build(stack: Stack) -> list[Dataset]:
    """Datasets of the series in slice order, instance numbers from 1, holding `phantom_on` of the stack's grid."""
    grid = stack.grid
    hu = phantom_on(grid)
    x_mm, y_mm, _ = grid.spacing_xyz
    cosines = np.stack([grid.affine_lps[:3, 0] / x_mm, grid.affine_lps[:3, 1] / y_mm])
    datasets = []
    for k in range(stack.shape_zyx[0]):
        slope = stack.slopes[k % len(stack.slopes)]
        intercept = stack.intercepts[k % len(stack.intercepts)]
        stored = np.rint((hu[k] - intercept) / slope).astype(np.int16 if stack.signed else np.uint16)
        position = to_lps(grid.affine_lps, np.array([[0.0, 0.0, float(k)]]))[0]
        plane = SlicePlane(position, cosines, (y_mm, x_mm), stack.spacing_xyz[2])
        dataset = ct_dataset(stored, plane, k + 1, stack.description, intercept)
        dataset.RescaleSlope = str(slope)
        datasets.append(dataset)
    return datasets


def save_all(
    datasets: list[Dataset], folder: Path, syntax: str = ExplicitVRLittleEndian, prefix: str = "IMG"
) -> list[Path]:
    """Write each dataset to a file of its own, named by its index in the list."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{prefix}_{i:04d}.dcm" for i in range(len(datasets))]
    for dataset, path in zip(datasets, paths, strict=True):
        if syntax == JPEGLosslessSV1:
            _save_jpeg_lossless(dataset, path)
        else:
            save_ct(dataset, path, syntax)
    return paths


def strip_preamble(path: Path) -> None:
    """Convert a file to a bare dataset, as old archives keep them: no preamble, no file meta information."""
    dataset = dcmread(path)
    bare = Dataset()
    bare.update({tag: dataset[tag] for tag in dataset.keys()})  # noqa: SIM118
    bare.save_as(path, implicit_vr=True, little_endian=True)


# --- faults and peculiarities -----------------------------------------------------------------------------------------


def empty_type_2(datasets: list[Dataset]) -> list[Dataset]:
    """Empty every attribute that may legally be empty."""
    for dataset in datasets:
        for keyword in _TYPE_2_NUMBERS:
            setattr(dataset, keyword, None)
        for keyword in _TYPE_2_TEXTS:
            setattr(dataset, keyword, "")
    return datasets


def renumbered(dataset: Dataset, number: int, uid_part: str) -> Dataset:
    """A copy with an instance number and SOP Instance UID of its own."""
    twin = copy.deepcopy(dataset)
    twin.InstanceNumber = number
    twin.SOPInstanceUID = derive_uid(dataset.SOPInstanceUID, uid_part, number)
    return twin


def duplicated(datasets: list[Dataset], index: int) -> list[Dataset]:
    """Add a second instance at the position of one slice."""
    return [*datasets, renumbered(datasets[index], len(datasets) + 1, "duplicate")]


def two_phases(datasets: list[Dataset], **attributes: tuple[object, object]) -> list[Dataset]:
    """Double the series; each attribute gets its first value in the one phase and its second in the other."""
    second = [renumbered(d, len(datasets) + i + 1, "phase") for i, d in enumerate(datasets)]
    for phase, members in enumerate((datasets, second)):
        for dataset in members:
            for keyword, values in attributes.items():
                setattr(dataset, keyword, values[phase])
    return [*datasets, *second]


def interleaved(datasets: list[Dataset]) -> list[Dataset]:
    """Two acquisitions that alternate: every other slice belongs to the second, at positions of its own."""
    for i, dataset in enumerate(datasets):
        dataset.AcquisitionNumber = 1 + i % 2
    return datasets


def scout(like: Dataset, number: int, *, localizer: bool = True) -> Dataset:
    """A coronal localizer in the series of an axial slice."""
    image = renumbered(like, number, "scout")
    if localizer:
        image.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    image.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    return image


def enhanced(datasets: list[Dataset], *, shared_orientation: bool = True, scramble: bool = False) -> Dataset:
    """One Enhanced CT instance with a frame for each dataset; ``scramble`` stores the frames in another order."""
    order = list(range(len(datasets)))
    if scramble:
        order = order[1::2] + order[0::2]
    first = datasets[0]
    image = copy.deepcopy(first)
    image.SOPClassUID = EnhancedCTImageStorage
    image.SOPInstanceUID = derive_uid(first.SOPInstanceUID, "enhanced")
    for keyword in _PER_FRAME:
        delattr(image, keyword)
    image.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    image.NumberOfFrames = len(datasets)
    image["PixelData"] = DataElement("PixelData", "OW", b"".join(datasets[i].PixelData for i in order))
    shared = Dataset()
    shared.PixelMeasuresSequence = Sequence([_item(first, "PixelSpacing", "SliceThickness")])
    if shared_orientation:
        shared.PlaneOrientationSequence = Sequence([_item(first, "ImageOrientationPatient")])
    reconstruction = Dataset()
    reconstruction.ConvolutionKernel = first.ConvolutionKernel
    shared.CTReconstructionSequence = Sequence([reconstruction])
    image.SharedFunctionalGroupsSequence = Sequence([shared])
    frames = []
    for i in order:
        groups = Dataset()
        groups.PlanePositionSequence = Sequence([_item(datasets[i], "ImagePositionPatient")])
        if not shared_orientation:
            groups.PlaneOrientationSequence = Sequence([_item(datasets[i], "ImageOrientationPatient")])
        groups.PixelValueTransformationSequence = Sequence(
            [_item(datasets[i], "RescaleSlope", "RescaleIntercept", "RescaleType")]
        )
        frames.append(groups)
    image.PerFrameFunctionalGroupsSequence = Sequence(frames)
    return image


def _item(dataset: Dataset, *keywords: str) -> Dataset:
    item = Dataset()
    for keyword in keywords:
        setattr(item, keyword, dataset[keyword].value)
    return item


def _save_jpeg_lossless(dataset: Dataset, path: Path) -> None:
    """Write process 14 selection value 1, which pydicom cannot encode: the codestream comes from SimpleITK (GDCM)."""
    stored = np.frombuffer(dataset.PixelData, dtype="<i2" if dataset.PixelRepresentation else "<u2")
    image = SimpleITK.GetImageFromArray(stored.reshape(1, dataset.Rows, dataset.Columns))
    writer = SimpleITK.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.SetUseCompression(True)
    writer.SetCompressor("JPEG")
    writer.SetFileName(str(path))
    writer.Execute(image)
    encoded = dcmread(path)
    assert encoded.file_meta.TransferSyntaxUID == JPEGLosslessSV1
    written = Dataset()
    written.update({tag: dataset[tag] for tag in dataset.keys()})  # noqa: SIM118
    written["PixelData"] = encoded["PixelData"]
    written.file_meta = FileMetaDataset()
    written.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    written.save_as(path, enforce_file_format=True)
