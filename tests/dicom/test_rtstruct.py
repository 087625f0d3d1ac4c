"""The structure set, read back by two independent readers: scikit-image's rasteriser and plastimatch."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from pydicom import dcmread
from skimage.measure import points_in_poly

from cspine.core.anatomy import vertebra
from cspine.core.errors import NoVertebraError
from cspine.core.geometry import Grid, orthogonal_grid, resample_labels, to_index
from cspine.core.volumes import CtSource, CtVolume, LabelVolume, SourceSlice
from cspine.dicom.rtstruct import write_structure_set
from tests.builders.ct_series import build, enhanced, save_all
from tests.builders.judges import dciodvfy_errors, tool
from tests.builders.source_volumes import MODEL, SETTINGS, STACK, rings, stored_volume


def read_back(path: Path, grid: Grid) -> np.ndarray:
    """Labels on the grid whose voxel centres lie within the contours."""
    made = dcmread(path)
    names = {int(roi.ROINumber): str(roi.ROIName) for roi in made.StructureSetROISequence}
    labels = np.zeros(grid.shape_zyx, dtype=np.uint8)
    centres = np.argwhere(np.ones(grid.shape_zyx[1:]))
    for roi in made.ROIContourSequence:
        for contour in roi.ContourSequence:
            points = np.array(contour.ContourData, dtype=float).reshape(-1, 3)
            index = to_index(grid.affine_lps, points)
            z = round(float(index[0, 2]))
            assert np.abs(index[:, 2] - z).max() < 0.01
            inside = points_in_poly(centres, index[:, 1::-1]).reshape(grid.shape_zyx[1:])
            labels[z][inside] = vertebra(names[int(roi.ReferencedROINumber)]).label
    return labels


@pytest.mark.parametrize("orientation", ["LPS", "RPI", "LSA", "PSL"])
def test_the_contours_contain_exactly_the_voxels(tmp_path: Path, orientation: str) -> None:
    stack = replace(STACK, orientation=orientation, rotation_deg=(5.0, -8.0, 12.0))
    ct, labels = stored_volume(tmp_path / "ct", stack)
    write_structure_set(labels, ct, SETTINGS, tmp_path / "rt.dcm")
    assert np.array_equal(read_back(tmp_path / "rt.dcm", stack.grid), rings(STACK.shape_zyx))
    assert dciodvfy_errors(tmp_path / "rt.dcm") == []


def test_rois_have_names_colours_and_a_frame_of_reference(tmp_path: Path) -> None:
    ct, labels = stored_volume(tmp_path / "ct")
    write_structure_set(labels, ct, SETTINGS, tmp_path / "rt.dcm")
    made = dcmread(tmp_path / "rt.dcm")
    assert [roi.ROIName for roi in made.StructureSetROISequence] == ["C2", "C3", "T1"]
    assert list(made.ROIContourSequence[0].ROIDisplayColor) == list(vertebra("C2").rgb)
    frame = str(build(STACK)[0].FrameOfReferenceUID)
    assert {str(roi.ReferencedFrameOfReferenceUID) for roi in made.StructureSetROISequence} == {frame}
    assert made.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID == frame


def test_each_contour_refers_to_the_slice_at_its_position(tmp_path: Path) -> None:
    ct, labels = stored_volume(tmp_path / "ct")
    write_structure_set(labels, ct, SETTINGS, tmp_path / "rt.dcm")
    where = {str(d.SOPInstanceUID): float(d.ImagePositionPatient[2]) for d in build(STACK)}
    for roi in dcmread(tmp_path / "rt.dcm").ROIContourSequence:
        for contour in roi.ContourSequence:
            assert float(contour.ContourData[2]) == pytest.approx(
                where[contour.ContourImageSequence[0].ReferencedSOPInstanceUID], abs=1e-3
            )


def test_a_tilted_series_has_its_contours_on_the_stored_slices(tmp_path: Path) -> None:
    stack = replace(STACK, tilt_deg=15.0)
    ct, _ = stored_volume(tmp_path / "ct", stack)
    grid = orthogonal_grid(stack.grid)
    upright = CtVolume(np.zeros(grid.shape_zyx, dtype=np.int16), grid.affine_lps, ct.source)
    labels = resample_labels(rings(STACK.shape_zyx), STACK.grid, grid)
    write_structure_set(LabelVolume(labels, grid.affine_lps, MODEL), upright, SETTINGS, tmp_path / "rt.dcm")
    expected = resample_labels(labels, grid, stack.grid)
    assert expected.any() and np.array_equal(read_back(tmp_path / "rt.dcm", stack.grid), expected)
    assert dciodvfy_errors(tmp_path / "rt.dcm") == []


def test_contours_name_the_frames_of_an_enhanced_ct(tmp_path: Path) -> None:
    image = enhanced(build(STACK))
    (path,) = save_all([image], tmp_path / "ct")
    slices = tuple(SourceSlice(path, str(image.SOPInstanceUID), k) for k in range(12))
    ct = CtVolume(np.zeros(STACK.shape_zyx, dtype=np.int16), STACK.grid.affine_lps, CtSource(slices, STACK.grid))
    labels = LabelVolume(rings(STACK.shape_zyx), ct.affine_lps, MODEL)
    write_structure_set(labels, ct, SETTINGS, tmp_path / "rt.dcm")
    first = dcmread(tmp_path / "rt.dcm").ROIContourSequence[0].ContourSequence[0]
    assert first.ContourImageSequence[0].ReferencedFrameNumber == 3
    assert dciodvfy_errors(tmp_path / "rt.dcm") == []


def test_nothing_is_written_without_labels(tmp_path: Path) -> None:
    ct, labels = stored_volume(tmp_path / "ct")
    empty = replace(labels, labels_zyx=np.zeros(STACK.shape_zyx, dtype=np.uint8))
    with pytest.raises(NoVertebraError):
        write_structure_set(empty, ct, SETTINGS, tmp_path / "rt.dcm")
    assert not (tmp_path / "rt.dcm").exists()


def test_plastimatch_reads_the_same_vertebrae(tmp_path: Path) -> None:
    program = tool("plastimatch")
    ct, labels = stored_volume(tmp_path / "ct")
    write_structure_set(labels, ct, SETTINGS, tmp_path / "ct" / "rt.dcm")
    subprocess.run(
        [program, "convert", "--input", str(tmp_path / "ct"), "--output-prefix", str(tmp_path / "masks")],
        check=True,
        capture_output=True,
    )
    for name in ("C2", "C3"):
        (path,) = (tmp_path / "masks").glob(f"*{name}*")
        image = SimpleITK.ReadImage(str(path))
        mask, truth = SimpleITK.GetArrayFromImage(image) > 0, rings(STACK.shape_zyx) == vertebra(name).label
        dice = 2 * (mask & truth).sum() / (mask.sum() + truth.sum())
        assert dice >= 0.98, name
