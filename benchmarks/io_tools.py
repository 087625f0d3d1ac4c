"""The tools that `benchmarks.io` compares: each scans a folder, reads a series, or writes a DICOM Segmentation.

A function prepares what its tool needs, times the work alone, and returns the seconds with numbers that show whether
the results of tools are equal.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Files in the folder in which a segmentation is written.
LABELS, SEGMENTATION = "labels.npz", "seg.dcm"


@contextmanager
def timed(figures: dict[str, float]) -> Iterator[None]:
    """Add the seconds of a block to figures."""
    began = time.perf_counter()
    yield
    figures["seconds"] = time.perf_counter() - began


def digest(array_zyx: NDArray[Any]) -> int:
    """Return a number that follows from the values of an array of whole numbers, which JSON keeps exactly."""
    values = np.ascontiguousarray(array_zyx, dtype=np.int16)
    return int(hashlib.sha256(values.data).hexdigest()[:12], 16)


# --- scanning ---------------------------------------------------------------------------------------------------------


def scan_cspine(folder: Path) -> dict[str, float]:
    """Scan a folder as `cspine run` does."""
    from cspine.dicom.scan import scan_folder

    figures: dict[str, float] = {}
    with timed(figures):
        scan = scan_folder(folder)
    return figures | {"series": len(scan.series), "files": sum(len(series.instances) for series in scan.series)}


def scan_simpleitk(folder: Path) -> dict[str, float]:
    """List the series of each folder, and their files in order."""
    import SimpleITK as sitk  # noqa: N813

    figures: dict[str, float] = {}
    with timed(figures):
        found = [
            sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(part), uid)
            for part in sorted(folder.iterdir())
            for uid in sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(part))
        ]
    return figures | {"series": len(found), "files": sum(map(len, found))}


def scan_monai(folder: Path) -> dict[str, float]:
    """Load the studies with the data loader of the MONAI Deploy App SDK, which also reads the pixels' bytes."""
    loader = _monai().loader
    figures: dict[str, float] = {}
    with timed(figures):
        series = [one for study in loader.load_data_to_studies(folder) for one in study.get_all_series()]
    return figures | {"series": len(series), "files": sum(len(list(one.get_sop_instances())) for one in series)}


def _monai() -> SimpleNamespace:
    """Return the operators of the MONAI Deploy App SDK without an application around them."""
    from monai.deploy.core import Fragment
    from monai.deploy.operators.dicom_data_loader_operator import DICOMDataLoaderOperator
    from monai.deploy.operators.dicom_series_selector_operator import DICOMSeriesSelectorOperator
    from monai.deploy.operators.dicom_series_to_volume_operator import DICOMSeriesToVolumeOperator

    fragment = Fragment()
    return SimpleNamespace(
        fragment=fragment,
        loader=DICOMDataLoaderOperator(fragment, name="loader"),
        selector=DICOMSeriesSelectorOperator(fragment, name="selector"),
        reader=DICOMSeriesToVolumeOperator(fragment, name="reader"),
    )


# --- reading ----------------------------------------------------------------------------------------------------------


def read_cspine(folder: Path) -> dict[str, float]:
    """Read the volume of the one series in a folder as `cspine run` does."""
    from cspine.pipeline import steps
    from cspine.pipeline.settings import RunSettings

    settings, figures = RunSettings(), dict[str, float]()
    with timed(figures):
        ct = steps.read_ct(steps.choose_series(steps.read_headers(folder), settings), settings)
    return figures | {"digest": digest(ct.hu_zyx)}


def read_simpleitk(folder: Path) -> dict[str, float]:
    """Read the volume as SimpleITK's documentation shows it."""
    import SimpleITK as sitk  # noqa: N813

    reader, figures = sitk.ImageSeriesReader(), dict[str, float]()
    with timed(figures):
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
        hu_zyx = sitk.GetArrayFromImage(reader.Execute())
    return figures | {"digest": digest(hu_zyx)}


def read_monai(folder: Path) -> dict[str, float]:
    """Read the volume with the loader, the selector and the converter of the MONAI Deploy App SDK."""
    operators, figures = _monai(), dict[str, float]()
    with timed(figures):
        selected = operators.selector.filter(None, operators.loader.load_data_to_studies(folder))
        image = operators.reader.convert_to_image(selected)
    return figures | {"digest": digest(image.asnumpy())}


# --- writing ----------------------------------------------------------------------------------------------------------


def write_labels(labels_zyx: NDArray[np.uint8], levels: Sequence[str], folder: Path) -> None:
    """Save labels with the names of their levels, 1 for the first of them, for the functions that write."""
    np.savez(folder / LABELS, labels=labels_zyx, levels=np.array(levels))


def read_labels(folder: Path) -> tuple[NDArray[np.uint8], list[str]]:
    """Return the labels that `write_labels` saved, and the names of their levels."""
    with np.load(folder / LABELS) as saved:
        return saved["labels"], [str(level) for level in saved["levels"]]


def write_cspine(series: Path, work: Path, kind: str) -> dict[str, float]:
    """Write the segmentation as `cspine run` does; the volume with its source has been read before."""
    from cspine.core.anatomy import vertebra
    from cspine.core.volumes import LabelVolume, relabelled
    from cspine.dicom.clock import Clock
    from cspine.dicom.seg import SegSettings, write_segmentation
    from cspine.dicom.seg_type import SegType
    from cspine.pipeline import steps
    from cspine.pipeline.settings import RunSettings

    settings, figures = RunSettings(), dict[str, float]()
    ct = steps.read_ct(steps.choose_series(steps.read_headers(series), settings), settings)
    numbered, levels = read_labels(work)
    labels = relabelled(numbered, {number: vertebra(level).label for number, level in enumerate(levels, 1)})
    with timed(figures):
        volume = LabelVolume(labels, ct.affine_lps)
        write_segmentation(volume, ct, SegSettings(Clock.from_environment(), SegType(kind)), work / SEGMENTATION)
    return figures


def write_highdicom(series: Path, work: Path, kind: str) -> dict[str, float]:
    """Write the segmentation as highdicom's documentation shows it, from the files of the series."""
    import highdicom  # noqa: F401
    import pydicom  # noqa: F401

    figures: dict[str, float] = {}
    labels, levels = read_labels(work)
    files = [str(path) for path in sorted(series.iterdir())]
    with timed(figures):
        stock_segmentation(files, labels, levels, work / SEGMENTATION, kind)
    return figures


def stock_segmentation(
    files: Sequence[str], labels_zyx: NDArray[np.uint8], levels: Sequence[str], path: Path, kind: str = "binary"
) -> None:
    """Write labels with highdicom alone.

    Parameters
    ----------
    files : sequence of str
        The files of the series, in the order of the slices.
    labels_zyx : ndarray of uint8, shape (z, y, x)
        Labels, 1 for the first level.
    levels : sequence of str
        Names of the levels.
    path : Path
        File to write.
    kind : str
        ``"binary"`` or ``"labelmap"``, which is compressed as cspine compresses it.
    """
    import highdicom as hd
    from pydicom import dcmread
    from pydicom.sr.codedict import codes
    from pydicom.uid import ExplicitVRLittleEndian, RLELossless

    algorithm = hd.AlgorithmIdentificationSequence("script", codes.DCM.ArtificialIntelligence, "1")
    described = [
        hd.seg.SegmentDescription(
            number, level, codes.SCT.AnatomicalStructure, _code(level),
            hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC, algorithm,
        )
        for number, level in enumerate(levels, 1)
    ]  # fmt: skip
    hd.seg.Segmentation(
        [dcmread(file) for file in files], labels_zyx, hd.seg.SegmentationTypeValues[kind.upper()], described, hd.UID(),
        900, hd.UID(), 1, "nobody", "script", "1", "1",
        transfer_syntax_uid=RLELossless if kind == "labelmap" else ExplicitVRLittleEndian,
    ).save_as(path)  # fmt: skip


def write_monai(series: Path, work: Path, kind: str) -> dict[str, float]:
    """Write the segmentation with the operator of the MONAI Deploy App SDK; the series has been loaded before."""
    operators = _monai()
    from monai.deploy.operators.dicom_seg_writer_operator import DICOMSegmentationWriterOperator, SegmentDescription
    from pydicom.sr.codedict import codes

    assert kind == "binary", "the SDK writes BINARY objects alone"
    labels, levels = read_labels(work)
    described = [
        SegmentDescription(level, codes.SCT.AnatomicalStructure, _code(level), "script", "1") for level in levels
    ]
    out, figures = work / "monai", dict[str, float]()
    shutil.rmtree(out, ignore_errors=True)
    writer = DICOMSegmentationWriterOperator(
        operators.fragment, name="writer", segment_descriptions=described, output_folder=out
    )
    selected = operators.selector.filter(None, operators.loader.load_data_to_studies(series))
    operators.reader.prepare_series(selected[0].selected_series[0].series)  # orders the slices
    with timed(figures):
        writer.create_dicom_seg(labels, selected[0].selected_series[0].series, out)
    next(out.iterdir()).replace(work / SEGMENTATION)
    return figures


def write_dcmqi(series: Path, work: Path, kind: str) -> dict[str, float]:
    """Write the segmentation with dcmqi's itkimage2segimage, from the files of the series and the labels as NRRD."""
    import SimpleITK as sitk  # noqa: N813

    command = Path(sys.executable).with_name("itkimage2segimage")
    labels, levels = read_labels(work)
    reader, figures = sitk.ImageSeriesReader(), dict[str, float]()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(series)))
    image = sitk.GetImageFromArray(labels)
    image.CopyInformation(reader.Execute())
    sitk.WriteImage(image, str(work / "labels.nrrd"))
    (work / "meta.json").write_text(json.dumps(_dcmqi_description(levels)))
    words = [
        str(command), "--inputImageList", str(work / "labels.nrrd"), "--inputDICOMDirectory", str(series),
        "--inputMetadata", str(work / "meta.json"), "--outputDICOM", str(work / SEGMENTATION),
        "--segmentationType", kind,
    ]  # fmt: skip
    with timed(figures):
        subprocess.run(words, check=True, capture_output=True)
    return figures


def _dcmqi_description(levels: Sequence[str]) -> dict[str, Any]:
    def code(value: str, meaning: str) -> dict[str, str]:
        return {"CodeValue": value, "CodingSchemeDesignator": "SCT", "CodeMeaning": meaning}

    return {
        "ContentCreatorName": "Doe^John", "ClinicalTrialSeriesID": "1", "ClinicalTrialTimePointID": "1",
        "SeriesDescription": "Segmentation", "SeriesNumber": "900", "InstanceNumber": "1",
        "ContentLabel": "VERTEBRAE", "ContentDescription": "Vertebrae",
        "segmentAttributes": [
            [
                {
                    "labelID": number, "SegmentLabel": level, "SegmentDescription": level,
                    "SegmentAlgorithmType": "AUTOMATIC", "SegmentAlgorithmName": "script",
                    "SegmentedPropertyCategoryCodeSequence": code("123037004", "Anatomical Structure"),
                    "SegmentedPropertyTypeCodeSequence": code(_code(level).value, _code(level).meaning),
                }
                for number, level in enumerate(levels, 1)
            ]
        ],
    }  # fmt: skip


def _code(level: str) -> Any:
    from pydicom.sr.coding import Code

    from cspine.core.anatomy import vertebra

    return Code(vertebra(level).sct_code, "SCT", vertebra(level).sct_meaning)


#: By task and tool; the first tool is compared with the others.
TOOLS: dict[str, dict[str, Callable[..., dict[str, float]]]] = {
    "scan": {"cspine": scan_cspine, "SimpleITK": scan_simpleitk, "MONAI": scan_monai},
    "read": {"cspine": read_cspine, "SimpleITK": read_simpleitk, "MONAI": read_monai},
    "write": {"cspine": write_cspine, "highdicom": write_highdicom, "MONAI": write_monai, "dcmqi": write_dcmqi},
}
