"""What the SDK's DICOMSegmentationWriterOperator does wrong, beside what cspine does with the same input.

The SDK's half documents why cspine writes its own objects; where it fails after an update, the SDK has become better.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.sr.codedict import codes

from cspine.core.errors import CSpineError, GeometryError
from cspine.core.geometry import reorientation
from cspine.core.volumes import CtSource, CtVolume, LabelVolume
from cspine.dicom.seg import write_segmentation
from tests.builders.ct_series import build
from tests.builders.judges import dciodvfy_errors
from tests.dicom.test_seg import MODEL, SETTINGS, STACK, blocks, read_back, volume, written

seg_writer = pytest.importorskip(
    "monai.deploy.operators.dicom_seg_writer_operator", reason="the MONAI Deploy App SDK is not installed"
)


class _Instance:
    def __init__(self, path: Path) -> None:
        self._dataset = dcmread(path)

    def get_native_sop_instance(self) -> Dataset:
        return self._dataset


class _Series:
    """As much of the SDK's DICOMSeries as the writer uses."""

    def __init__(self, paths: list[Path]) -> None:
        self._instances = [_Instance(path) for path in paths]

    def get_sop_instances(self) -> list[_Instance]:
        return self._instances


def sdk_write(labels: np.ndarray, paths: list[Path], folder: Path, segments: int = 3) -> Path:
    descriptions = [
        seg_writer.SegmentDescription(
            segment_label=f"S{i}",
            segmented_property_category=codes.SCT.AnatomicalStructure,
            segmented_property_type=codes.SCT.Vertebra,
            algorithm_name="net",
            algorithm_version="1",
        ).to_segment_description(i)
        for i in range(1, segments + 1)
    ]
    # The operator itself needs a running application; its method that writes needs these attributes only.
    operator = SimpleNamespace(
        _seg_descs=descriptions,
        _custom_tags=None,
        _omit_empty_frames=True,
        model_info=seg_writer.ModelInfo(),
        _read_from_dcm=dcmread,
    )
    seg_writer.DICOMSegmentationWriterOperator.create_dicom_seg(operator, labels, _Series(paths), folder)
    (path,) = folder.glob("*.dcm")
    return path


def ordered(tmp_path: Path) -> tuple[CtVolume, list[Path]]:
    ct = volume(build(STACK), STACK.grid, tmp_path / "ct")
    assert ct.source is not None
    return ct, [part.path for part in ct.source.slices]


def positions(path: Path) -> set[float]:
    frames = dcmread(path).PerFrameFunctionalGroupsSequence
    return {float(f.PlanePositionSequence[0].ImagePositionPatient[2]) for f in frames}


def z_of(k: int) -> float:
    return STACK.origin_lps[2] + k * STACK.spacing_xyz[2]


def test_frames_are_bound_by_position_not_by_the_order_of_a_list(tmp_path: Path) -> None:
    ct, paths = ordered(tmp_path)
    labels = np.zeros(STACK.shape_zyx, dtype=np.uint8)
    labels[2, 4:8, 4:8] = 1
    wrong = sdk_write(labels, paths[::-1], tmp_path / "sdk")
    assert positions(wrong) == {z_of(9)}  # slice 2 of 12, at the position of slice 9
    right = written(ct, tmp_path / "seg.dcm", labels=labels).path
    assert positions(right) == {z_of(2)}
    assert ct.source is not None
    reoriented = replace(ct, source=CtSource(ct.source.slices[::-1], ct.source.grid))
    with pytest.raises(GeometryError):
        written(reoriented, tmp_path / "reoriented.dcm", labels=labels)


def test_the_affine_of_the_labels_counts(tmp_path: Path) -> None:
    ct, paths = ordered(tmp_path)
    change = reorientation(ct.affine_lps, "RAI")
    labels = LabelVolume(
        np.ascontiguousarray(change.apply(blocks(STACK.shape_zyx))), change.grid(ct.grid).affine_lps, MODEL
    )
    record = write_segmentation(labels, ct, SETTINGS, tmp_path / "seg.dcm")
    assert np.array_equal(read_back(record.path, STACK.grid), blocks(STACK.shape_zyx))
    sdk = dcmread(sdk_write((labels.labels_zyx == 2).astype(np.uint8), paths, tmp_path / "sdk"))
    found = {float(f.PlanePositionSequence[0].ImagePositionPatient[2]) for f in sdk.PerFrameFunctionalGroupsSequence}
    assert found != {z_of(k) for k in (2, 3, 4)}


def test_uids_are_the_same_in_each_run(tmp_path: Path) -> None:
    ct, paths = ordered(tmp_path)
    labels = np.minimum(blocks(STACK.shape_zyx), 3).astype(np.uint8)
    sdk = [dcmread(sdk_write(labels, paths, tmp_path / name)).SOPInstanceUID for name in ("a", "b")]
    assert sdk[0] != sdk[1]
    ours = [written(ct, tmp_path / f"{name}.dcm").sop_instance_uid for name in ("a", "b")]
    assert ours[0] == ours[1]


def test_labels_above_255_do_not_wrap(tmp_path: Path) -> None:
    ct, paths = ordered(tmp_path)
    labels = np.zeros(STACK.shape_zyx, dtype=np.int32)
    labels[3, 4:8, 4:8] = 257
    # What the SDK's readers of images do before the writer sees them.
    sdk = dcmread(sdk_write(labels.astype(np.uint8), paths, tmp_path / "sdk"))
    assert sdk.NumberOfFrames == 1  # label 257 has become label 1
    with pytest.raises(CSpineError):
        written(ct, tmp_path / "seg.dcm", labels=labels)  # type: ignore[arg-type]


def test_contributing_equipment_is_never_empty(tmp_path: Path) -> None:
    ct, paths = ordered(tmp_path)
    sdk = sdk_write(np.minimum(blocks(STACK.shape_zyx), 3).astype(np.uint8), paths, tmp_path / "sdk")
    assert not dcmread(sdk).ContributingEquipmentSequence[0].Manufacturer
    assert dciodvfy_errors(sdk)
    ours = written(ct, tmp_path / "seg.dcm").path
    assert all(item.Manufacturer for item in dcmread(ours).ContributingEquipmentSequence)
    assert dciodvfy_errors(ours) == []


def test_segments_have_colours(tmp_path: Path) -> None:
    ct, paths = ordered(tmp_path)
    sdk = dcmread(sdk_write(np.minimum(blocks(STACK.shape_zyx), 3).astype(np.uint8), paths, tmp_path / "sdk"))
    assert not any("RecommendedDisplayCIELabValue" in s for s in sdk.SegmentSequence)
    ours = dcmread(written(ct, tmp_path / "seg.dcm").path)
    assert all("RecommendedDisplayCIELabValue" in s for s in ours.SegmentSequence)
