"""A small CT series of a neck, as data sets and as what a reader must make of them, for mutations to change."""

from __future__ import annotations

import copy
import pickle
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from pydicom import DataElement, Dataset, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from tests.builders.ct_series import Stack, build, enhanced, save_all

#: Stands in every text element of the series that no decision needs.
MARKER = "ZZPRIV"
BIRTH_DATE = "19370219"
SYNTAXES = (
    *(ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian),
    *(RLELossless, JPEGLSLossless, JPEG2000Lossless, JPEGLosslessSV1),
)
_SHAPE_ZYX = (12, 44, 48)
_SPACING_XYZ = (4.0, 4.0, 5.0)
_TEXTS = (
    *("PatientName", "PatientID", "AccessionNumber", "ReferringPhysicianName", "InstitutionName", "InstitutionAddress"),
    *("StationName", "StudyDescription", "SeriesDescription", "OperatorsName", "PerformingPhysicianName", "StudyID"),
    *("ProtocolName", "ImageComments", "PatientComments", "PatientAddress", "OtherPatientNames", "DeviceSerialNumber"),
    *("Manufacturer", "ManufacturerModelName", "SoftwareVersions", "AdditionalPatientHistory", "Occupation"),
    *("PatientTelephoneNumbers", "EthnicGroup", "ContrastBolusRoute", "RequestedProcedureDescription"),
)


@dataclass(frozen=True, eq=False)
class Slice:
    """What a slice shows, and where: Hounsfield units (y, x), and the three attributes of its geometry."""

    hu_yx: NDArray[np.float64]
    position: NDArray[np.float64]
    cosines: NDArray[np.float64]
    spacing_yx: tuple[float, float]


@dataclass(eq=False)
class Case:
    """A series with the changes made to it.

    Parameters
    ----------
    name : str
        The base that it began as.
    datasets : list of Dataset
        With pixels as the transfer syntax stores them.
    truth : list of Slice
        What a reader must find, in the order of ``datasets`` for single frames.
    on_disk : list of callable
        What happens to the folder after the files were written.
    as_zip : list of callable
        Changes of the archive; the input is a zip if there is one.
    """

    name: str
    datasets: list[Dataset]
    truth: list[Slice]
    on_disk: list[Callable[[Path], object]] = field(default_factory=list)
    as_zip: list[Callable[[Path], object]] = field(default_factory=list)

    @property
    def is_multiframe(self) -> bool:
        return self.name == "enhanced"

    @property
    def syntax(self) -> UID:
        return UID(str(self.datasets[0].file_meta.TransferSyntaxUID))

    def index(self, dataset: Dataset) -> int:
        """The number of a data set, which is that of its file."""
        return next(number for number, other in enumerate(self.datasets) if other is dataset)

    def some(self, rng: random.Random) -> list[Dataset]:
        """One, several or all data sets."""
        count = rng.choice([1, 1, rng.randint(1, len(self.datasets)), len(self.datasets)])
        return rng.sample(self.datasets, min(count, len(self.datasets)))

    def save(self, folder: Path) -> None:
        """Write the files, then apply what happens to them on the disk."""
        folder.mkdir(parents=True)
        for number, dataset in enumerate(self.datasets):
            dataset.save_as(folder / f"IM{number:04d}.dcm", enforce_file_format=True)
        for change in self.on_disk:
            change(folder)


def set_raw(dataset: Dataset, tag: BaseTag, vr: str, value: bytes) -> None:
    """Set an element to bytes under any VR, which pydicom writes as they are."""
    value += b" " * (len(value) % 2)
    implicit, little = dataset.original_encoding
    dataset[tag] = RawDataElement(tag, vr, len(value), value, 0, bool(implicit), little is not False)


def replace_meta(number: int, keyword: str, value: str, folder: Path) -> None:
    """Replace a UID of the file meta information in a file, cut or padded to its length."""
    path = folder / f"IM{number:04d}.dcm"
    content, tag = path.read_bytes(), Tag(keyword)
    at = content.find(tag.group.to_bytes(2, "little") + tag.element.to_bytes(2, "little") + b"UI", 0, 600)
    if at >= 0:
        length = int.from_bytes(content[at + 6 : at + 8], "little")
        text = value.encode()[:length].ljust(length, b"\0")
        path.write_bytes(content[: at + 8] + text + content[at + 8 + length :])


def bases() -> tuple[str, ...]:
    """Names of the series that mutations begin with."""
    return (*(UID(syntax).keyword for syntax in SYNTAXES), "enhanced")


def new_case(name: str) -> Case:
    """Return an unchanged series."""
    datasets, truth = _base(name)
    return Case(name, pickle.loads(datasets), list(truth))


@cache
def _base(name: str) -> tuple[bytes, tuple[Slice, ...]]:
    syntax = next((s for s in SYNTAXES if UID(s).keyword == name), ExplicitVRLittleEndian)
    stack = Stack(shape_zyx=_SHAPE_ZYX, spacing_xyz=_SPACING_XYZ, origin_lps=(-96.0, -90.0, -20.0))
    datasets = build(stack)
    truth = []
    for dataset, hu_yx in zip(datasets, _neck(_SHAPE_ZYX), strict=True):
        stored = (hu_yx + 1024).astype("<u2")
        dataset["PixelData"] = DataElement("PixelData", "OW", stored.tobytes())
        dataset.SliceLocation = str(float(dataset.ImagePositionPatient[2]))
        _add_private_words(dataset)
        position = np.array(dataset.ImagePositionPatient, dtype=float)
        cosines = np.array(dataset.ImageOrientationPatient, dtype=float)
        truth.append(Slice(hu_yx.astype(float), position, cosines, (_SPACING_XYZ[1], _SPACING_XYZ[0])))
    with TemporaryDirectory() as work:
        written = [enhanced(datasets)] if name == "enhanced" else datasets
        paths = save_all(written, Path(work), syntax)
        return pickle.dumps([_loaded(path) for path in paths]), tuple(truth)


def _loaded(path: Path) -> Dataset:
    dataset = dcmread(path)
    for _ in dataset.iterall():  # parse every element before the file is gone
        pass
    return dataset


def _neck(shape_zyx: tuple[int, int, int]) -> NDArray[np.int64]:
    """Air, skin, fat, muscle and bones; no two voxels of the patient that are near each other are equal."""
    z, y, x = np.indices(shape_zyx)
    radius = np.hypot((y - shape_zyx[1] / 2) / 18.0, (x - shape_zyx[2] / 2) / 20.0)
    pattern = 3 * x - 5 * y + 7 * z
    hu = np.where(radius < 1, 30 + pattern % 61, -1000 + pattern % 5)
    hu = np.where((radius < 1) & (radius > 0.85), -110 + pattern % 17, hu)
    bone = (np.abs(y - 26) < 5) & (np.abs(x - 24) < 6) & (z % 4 != 3)
    return np.where(bone, 450 + pattern % 250, hu)


def _add_private_words(dataset: Dataset) -> None:
    for number, keyword in enumerate(_TEXTS):
        setattr(dataset, keyword, f"{MARKER}{number}")
    dataset.PatientBirthDate, dataset.PatientAge = BIRTH_DATE, "082Y"
    item = Dataset()
    item.ScheduledProcedureStepDescription = item.RequestedProcedureID = f"{MARKER}-item"
    dataset.RequestAttributesSequence = Sequence([item])
    block = dataset.private_block(0x0029, f"{MARKER} BLOCK", create=True)
    block.add_new(0x01, "LO", f"{MARKER}-private")
    block.add_new(0x02, "SQ", [copy.deepcopy(item)])


@cache
def private_words(name: str) -> frozenset[str]:
    """Return what no message on a series may contain: markers, the date of birth, and UIDs in clear."""
    uids = {
        str(dataset.get(keyword, ""))
        for dataset in new_case(name).datasets
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")
    }
    return frozenset({MARKER.casefold(), BIRTH_DATE, "1937-02-19", *uids})


def every_dataset(dataset: Dataset) -> Iterator[Dataset]:
    """Yield a data set and all items within it."""
    yield dataset
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from every_dataset(item)


def tag_of(keyword: str) -> BaseTag:
    return Tag(keyword)
