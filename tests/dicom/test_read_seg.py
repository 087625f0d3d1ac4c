"""DICOM Segmentations read as labels: those of cspine, and those of dcmqi."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
import SimpleITK
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from cspine.core.anatomy import CATEGORY_CODE, vertebra
from cspine.core.errors import InputError, LabelSchemeError
from cspine.core.volumes import LabelVolume, ModelIdentity
from cspine.dicom.clock import Clock
from cspine.dicom.read import read_volume
from cspine.dicom.read_seg import read_seg_record, read_segmentation
from cspine.dicom.scan import scan_folder
from cspine.dicom.seg import SegSettings, write_segmentation
from cspine.dicom.seg_type import SegType
from cspine.study.grids import on_grid
from tests.builders.judges import tool

CLOCK = Clock(datetime(2024, 1, 1, tzinfo=UTC))


@pytest.fixture(scope="module")
def labels(bright_study: Path) -> LabelVolume:
    ct = read_volume(scan_folder(bright_study).series[0])
    labels = np.zeros(ct.hu_zyx.shape, dtype=np.uint8)
    labels[30:35, 10:20, 11:21] = 3
    labels[20:25, 10:20, 11:21] = 28  # T13 has no code of its own
    labels[40:42, 5:9, 5:9] = 1
    return LabelVolume(labels, ct.affine_lps)


@pytest.mark.parametrize("seg_type", list(SegType))
def test_what_cspine_wrote_comes_back(
    seg_type: SegType, labels: LabelVolume, bright_study: Path, tmp_path: Path
) -> None:
    ct = read_volume(scan_folder(bright_study).series[0])
    write_segmentation(labels, ct, SegSettings(CLOCK, seg_type), tmp_path / "seg.dcm")
    read = read_segmentation(tmp_path / "seg.dcm")
    assert read.labels_zyx.dtype == np.uint8
    assert np.array_equal(on_grid(read, labels.grid, partial=True).labels_zyx, labels.labels_zyx)


@pytest.mark.parametrize("seg_type", list(SegType))
def test_an_uncompressed_segmentation_is_read_in_each_encoding(
    seg_type: SegType, labels: LabelVolume, bright_study: Path, tmp_path: Path
) -> None:
    ct = read_volume(scan_folder(bright_study).series[0])
    write_segmentation(labels, ct, SegSettings(CLOCK, seg_type), tmp_path / "seg.dcm")
    dataset = dcmread(tmp_path / "seg.dcm")
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        dataset.decompress()
    for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.save_as(
            tmp_path / "other.dcm",
            implicit_vr=syntax == ImplicitVRLittleEndian,
            little_endian=True,
            enforce_file_format=True,
        )
        read = read_segmentation(tmp_path / "other.dcm")
        assert np.array_equal(on_grid(read, labels.grid, partial=True).labels_zyx, labels.labels_zyx)


@pytest.mark.parametrize(
    ("name", "demonstration", "expected"),
    [
        ("neck-net", False, "neck-net"),
        ("neck-net", True, "neck-net"),
        ("a" * 60, False, "a" * 60),
        ("a" * 60, True, "a" * 45 + "..."),
    ],
)
def test_the_model_comes_back_with_its_mark(
    name: str, demonstration: bool, expected: str, labels: LabelVolume, bright_study: Path, tmp_path: Path
) -> None:
    ct = read_volume(scan_folder(bright_study).series[0])
    model = ModelIdentity(name, "1.0", "cd" * 32, demonstration)
    write_segmentation(replace(labels, model=model), ct, SegSettings(CLOCK), tmp_path / "seg.dcm")
    read = read_seg_record(tmp_path / "seg.dcm")[1]
    assert read is not None
    assert (read.name, read.version, read.demonstration) == (expected, "1.0", demonstration)


def _dcmqi_segment(number: int, label: str, code: tuple[str, str, str]) -> dict[str, object]:
    return {
        "labelID": number,
        "SegmentLabel": label,
        "SegmentDescription": label,
        "SegmentAlgorithmType": "MANUAL",
        "SegmentedPropertyCategoryCodeSequence": {
            "CodeValue": "123037004",
            "CodingSchemeDesignator": "SCT",
            "CodeMeaning": "Anatomical Structure",
        },
        "SegmentedPropertyTypeCodeSequence": dict(
            zip(("CodeValue", "CodingSchemeDesignator", "CodeMeaning"), code, strict=True)
        ),
        "recommendedDisplayRGBValue": [200, 100, 50],
    }


def _dcmqi(folder: Path, study: Path, labels: LabelVolume, segments: list[dict[str, object]]) -> Path:
    """Write a segmentation with dcmqi."""
    image = SimpleITK.GetImageFromArray(labels.labels_zyx)
    image.SetSpacing(labels.grid.spacing_xyz)
    image.SetOrigin([float(v) for v in labels.affine_lps[:3, 3]])
    image.SetDirection((labels.affine_lps[:3, :3] / labels.grid.spacing_xyz).ravel().tolist())
    SimpleITK.WriteImage(image, str(folder / "labels.nrrd"))
    meta = {
        "ContentCreatorName": "Doe^John",
        "ClinicalTrialSeriesID": "1",
        "ClinicalTrialTimePointID": "1",
        "SeriesDescription": "Segmentation",
        "SeriesNumber": "300",
        "InstanceNumber": "1",
        "segmentAttributes": [segments],
        "ContentLabel": "SEGMENTATION",
        "ContentDescription": "Image segmentation",
    }
    (folder / "meta.json").write_text(json.dumps(meta))
    words = [tool("itkimage2segimage"), "--inputImageList", str(folder / "labels.nrrd"), "--inputDICOMDirectory"]
    words += [str(study), "--inputMetadata", str(folder / "meta.json"), "--outputDICOM", str(folder / "seg.dcm")]
    done = subprocess.run([*words, "--skip", "1"], capture_output=True, text=True, check=False)
    assert (folder / "seg.dcm").is_file(), done.stdout + done.stderr
    return folder / "seg.dcm"


def test_what_dcmqi_wrote_is_read_by_codes_and_labels(labels: LabelVolume, bright_study: Path, tmp_path: Path) -> None:
    network = np.zeros_like(labels.labels_zyx)
    for number, label in enumerate((3, 28, 1), 1):
        network[labels.labels_zyx == label] = number
    network[50:52, 20:24, 20:24] = 4
    segments = [
        _dcmqi_segment(1, "a bone", (vertebra("C3").sct_code, "SCT", "C3 vertebra")),
        _dcmqi_segment(2, "T13", ("51282000", "SCT", "Vertebra")),
        _dcmqi_segment(3, "atlas", ("T-11610", "99LOCAL", "C1 vertebra")),
        _dcmqi_segment(4, "cord", ("2748008", "SCT", "Spinal cord")),
    ]
    path = _dcmqi(tmp_path, bright_study, LabelVolume(network, labels.affine_lps), segments)
    read = on_grid(read_segmentation(path), labels.grid, partial=True)
    assert np.array_equal(read.labels_zyx, labels.labels_zyx)


@pytest.mark.parametrize("fraction", [1.0, 0.6])
def test_fractions_are_labels_where_they_are_0_and_1(bright_study: Path, tmp_path: Path, fraction: float) -> None:
    sources = sorted((dcmread(path) for path in bright_study.iterdir()), key=lambda d: float(d.ImagePositionPatient[2]))
    shares = np.zeros((len(sources), sources[0].Rows, sources[0].Columns))
    shares[3:6, 10:20, 10:20] = fraction
    code = hd.sr.CodedConcept(vertebra("C4").sct_code, "SCT", vertebra("C4").sct_meaning)
    category = hd.sr.CodedConcept(CATEGORY_CODE[0], "SCT", CATEGORY_CODE[1])
    segment = hd.seg.SegmentDescription(1, "C4", category, code, hd.seg.SegmentAlgorithmTypeValues.MANUAL)
    written = hd.seg.Segmentation(
        sources, shares, hd.seg.SegmentationTypeValues.FRACTIONAL, [segment],
        hd.UID(), 1, hd.UID(), 1, "x", "y", "1", "1", fractional_type="PROBABILITY",
    )  # fmt: skip
    written.save_as(tmp_path / "seg.dcm")
    if fraction == 1.0:
        assert (read_segmentation(tmp_path / "seg.dcm").labels_zyx == 4).sum() == 300
        return
    with pytest.raises(InputError) as refused:
        read_segmentation(tmp_path / "seg.dcm")
    assert "BINARY" in refused.value.advice


def test_what_is_no_segmentation_of_vertebrae_is_refused(
    labels: LabelVolume, bright_study: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError):
        read_segmentation(next(iter(bright_study.iterdir())))
    (tmp_path / "text.dcm").write_text("no DICOM")
    with pytest.raises(InputError):
        read_segmentation(tmp_path / "text.dcm")
    cord = LabelVolume((labels.labels_zyx > 0).astype(np.uint8), labels.affine_lps)
    segment = _dcmqi_segment(1, "cord", ("2748008", "SCT", "Spinal cord"))
    with pytest.raises(LabelSchemeError):
        read_segmentation(_dcmqi(tmp_path, bright_study, cord, [segment]))
