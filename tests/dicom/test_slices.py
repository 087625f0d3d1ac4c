"""The geometry policy: what makes a volume, what is repaired, what is refused with which numbers."""

from __future__ import annotations

import copy
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

from cspine.core.errors import (
    DuplicatePositionError,
    ExcessiveTiltError,
    GeometryError,
    MissingAttributeError,
    MissingSliceError,
    MixedAcquisitionsError,
    MixedMatrixError,
    NonOrthonormalError,
    ScoutAmongSlicesError,
    SingleSliceError,
    VariableSpacingError,
)
from cspine.core.geometry import shear_mm
from cspine.dicom.headers import Plane, read_header
from cspine.dicom.slices import arrange
from tests.builders.ct_series import (
    Stack,
    build,
    duplicated,
    interleaved,
    renumbered,
    right_handed_orientations,
    scout,
    two_phases,
)
from tests.builders.raises import raises_code


def _planes(datasets: list[Dataset]) -> list[Plane]:
    return [p for d in datasets for p in read_header(d, Path("slice.dcm"), "1.2.840.10008.1.2.1").planes]


def _at(positions_mm: list[float]) -> list[Plane]:
    """Axial slices at these positions along the normal."""
    like = build(Stack(shape_zyx=(len(positions_mm), 4, 4)))
    for dataset, z in zip(like, positions_mm, strict=True):
        dataset.ImagePositionPatient = [0, 0, z]
    return _planes(like)


# --- what is accepted -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", right_handed_orientations())
def test_any_orientation_gives_the_grid_it_was_built_on(orientation: str) -> None:
    stack = Stack(orientation=orientation)
    arranged = arrange(_planes(build(stack)))
    assert arranged.grid.is_close(stack.grid, 1e-6)
    assert not arranged.notes


def test_an_oblique_stack_gives_its_grid() -> None:
    stack = Stack(rotation_deg=(11.0, -7.0, 23.0), orientation="RPI")
    arranged = arrange(_planes(build(stack)))
    assert arranged.grid.is_close(stack.grid, 1e-5)


def test_the_order_comes_from_positions_alone() -> None:
    datasets = build(Stack())
    for i, dataset in enumerate(datasets):
        dataset.InstanceNumber = 100 - i
    shuffled = datasets.copy()
    random.Random(3).shuffle(shuffled)
    expected = [d.SOPInstanceUID for d in datasets]
    assert [p.source.sop_instance_uid for p in arrange(_planes(shuffled)).planes] == expected


def test_slices_against_the_normal_still_give_a_right_handed_grid() -> None:
    datasets = build(Stack())[::-1]
    assert np.linalg.det(arrange(_planes(datasets)).grid.affine_lps[:3, :3]) > 0


@pytest.mark.parametrize("jitter", [0.005, 0.01])
def test_rounded_positions_are_accepted(jitter: float) -> None:
    signs = [1, -1, 1, 1, -1, 1, -1, -1]
    arranged = arrange(_at([i * 1.0 + s * jitter / 2 for i, s in enumerate(signs)]))
    assert arranged.grid.spacing_xyz[2] == pytest.approx(1.0, abs=0.01)
    assert not arranged.notes


def test_ranges_that_follow_each_other_with_one_distance_are_one_stack() -> None:
    datasets = build(Stack())
    for i, dataset in enumerate(datasets):
        dataset.AcquisitionNumber = 1 + i // 3
    assert len(arrange(_planes(datasets)).planes) == 6


# --- what is repaired -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tilt", [-20.0, 3.0, 30.0])
def test_tilt_is_found_and_noted(tilt: float) -> None:
    stack = Stack(tilt_deg=tilt, rotation_deg=(5.0, 0.0, 9.0))
    arranged = arrange(_planes(build(stack)))
    assert arranged.grid.is_close(stack.grid, 1e-4)
    step_mm = float(np.linalg.norm(arranged.grid.affine_lps[:3, 2]))
    shear = float(np.hypot(*shear_mm(arranged.grid.affine_lps)))
    assert np.degrees(np.arcsin(shear / step_mm)) == pytest.approx(abs(tilt), abs=0.01)
    assert f"{abs(tilt):.1f} degrees" in arranged.notes[0]


def test_cosines_a_little_off_are_made_orthonormal_and_noted() -> None:
    datasets = build(Stack())
    for dataset in datasets:
        dataset.ImageOrientationPatient = [1, 0.002, 0, 0.001, 1, 0]
    arranged = arrange(_planes(datasets))
    axes = arranged.grid.affine_lps[:3, :3] / arranged.grid.spacing_xyz
    assert np.allclose(axes.T @ axes, np.eye(3), atol=1e-3)
    assert abs(axes[:, 0] @ axes[:, 1]) < 1e-12
    assert "orthonormal" in arranged.notes[0]


def test_rounded_cosines_are_made_orthonormal_silently() -> None:
    datasets = build(Stack(rotation_deg=(0, 0, 13)))
    for dataset in datasets:
        dataset.ImageOrientationPatient = [round(float(v), 5) for v in dataset.ImageOrientationPatient]
    arranged = arrange(_planes(datasets))
    assert not arranged.notes
    assert abs(arranged.grid.affine_lps[:3, 0] @ arranged.grid.affine_lps[:3, 1]) < 1e-12
    assert max(abs(v) for v in shear_mm(arranged.grid.affine_lps)) < 1e-12


def test_two_scan_ranges_offer_the_longer_one() -> None:
    positions = [0.0, 1, 2, 3, 6, 9, 12, 15]
    with raises_code(VariableSpacingError, 4, "1.000 mm", 5, "3.000 mm") as raised:
        arrange(_at(positions))
    assert "`repair_gaps`" in raised.value.advice
    arranged = arrange(_at(positions), repair_gaps=True)
    assert [p.position_lps[2] for p in arranged.planes if p.position_lps] == [3, 6, 9, 12, 15]
    assert "5 of 8" in arranged.notes[0]


def test_with_repair_gaps_the_longest_complete_part_remains() -> None:
    arranged = arrange(_at([0.0, 2, 4, 8, 10, 12, 14, 16]), repair_gaps=True)
    assert [p.position_lps[2] for p in arranged.planes if p.position_lps] == [8, 10, 12, 14, 16]
    assert arranged.grid.shape_zyx[0] == 5


# --- what is refused --------------------------------------------------------------------------------------------------


def test_a_missing_slice_is_refused_with_its_position() -> None:
    datasets = build(Stack(shape_zyx=(8, 4, 4), origin_lps=(0, 0, 10)))
    del datasets[3]
    with raises_code(MissingSliceError, 1, 1, "4.00 mm", "14.00", "18.00"):
        arrange(_planes(datasets))


def test_several_holes_are_counted() -> None:
    with raises_code(MissingSliceError, 4, 2):
        arrange(_at([0.0, 2, 4, 8, 10, 12, 20, 22, 24]))


def test_missing_next_to_the_end_is_still_a_hole() -> None:
    with pytest.raises(MissingSliceError):
        arrange(_at([0.0, 4, 6, 8, 10]))


def test_irregular_distances_are_refused() -> None:
    with raises_code(VariableSpacingError, "1.000", "1.700 mm"):
        arrange(_at([0.0, 1, 2, 3.7, 4.7, 5.7]))


def test_slowly_growing_distances_are_refused() -> None:
    with pytest.raises(VariableSpacingError):
        arrange(_at([0.0, *np.cumsum(1.0 + 0.01 * np.arange(30))]))


def test_without_a_regular_run_nothing_is_repaired() -> None:
    with pytest.raises(GeometryError):
        arrange(_at([0.0, 1, 2.7, 5, 9.1]), repair_gaps=True)


def test_a_duplicate_is_refused_with_its_position() -> None:
    datasets = duplicated(build(Stack(origin_lps=(0, 0, 10))), 2)
    with raises_code(DuplicatePositionError, 2, "14.00 mm", "1 of 6"):
        arrange(_planes(datasets))


def test_a_double_export_is_duplicates() -> None:
    datasets = build(Stack())
    with raises_code(DuplicatePositionError, "6 of 6"):
        arrange(_planes([*datasets, *(renumbered(d, i + 7, "again") for i, d in enumerate(datasets))]))


@pytest.mark.parametrize(
    ("keyword", "values"),
    [
        ("AcquisitionNumber", (1, 2)),
        ("TemporalPositionIdentifier", (1, 2)),
        ("NominalPercentageOfCardiacPhase", ("40", "75")),
        ("ConvolutionKernel", ("B30f", "B70f")),
        ("KVP", ("80", "140")),
        ("AcquisitionTime", ("120000", "120030")),
        ("ContrastBolusAgent", ("", "Iodine")),
    ],
)
def test_two_phases_are_identified_by_what_differs(keyword: str, values: tuple[object, object]) -> None:
    datasets = two_phases(build(Stack()), **{keyword: values})
    with raises_code(MixedAcquisitionsError, keyword):
        arrange(_planes(datasets))


def test_two_phases_whose_times_differ_from_slice_to_slice_are_reported() -> None:
    datasets = two_phases(build(Stack()))
    for i, dataset in enumerate(datasets):
        dataset.AcquisitionTime = f"1200{i:02d}"
    with raises_code(MixedAcquisitionsError, "AcquisitionTime"):
        arrange(_planes(datasets))


def test_acquisitions_that_alternate_are_refused() -> None:
    with raises_code(MixedAcquisitionsError, "AcquisitionNumber", 2):
        arrange(_planes(interleaved(build(Stack()))))


@pytest.mark.parametrize(
    ("keyword", "values"),
    [
        ("ConvolutionKernel", ("B30f", "B70f")),
        ("KVP", ("80", "140")),
        ("ImageType", (["ORIGINAL", "PRIMARY", "AXIAL"], ["DERIVED", "SECONDARY", "AXIAL", "MPR"])),
    ],
)
def test_reconstructions_may_follow_each_other_but_not_alternate(keyword: str, values: tuple[object, object]) -> None:
    def stack(indices: str) -> list[Plane]:
        datasets = build(Stack(shape_zyx=(len(indices), 9, 8)))
        for dataset, index in zip(datasets, indices, strict=True):
            setattr(dataset, keyword, values[int(index)])
        return _planes(datasets)

    for ranges in ("000111", "001100", "010", "0001111000111"):
        assert len(arrange(stack(ranges)).planes) == len(ranges)
    for mixture in ("010101", "0101101010"):
        with raises_code(MixedAcquisitionsError, keyword, 2):
            arrange(stack(mixture))


def test_the_compression_of_a_slice_is_no_reconstruction() -> None:
    datasets = build(Stack())
    for i, dataset in enumerate(datasets):
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL", f"JP2K LOSSY {6 + i % 2}:1"]
    assert len(arrange(_planes(datasets)).planes) == 6


def test_two_frames_of_reference_are_refused() -> None:
    datasets = build(Stack())
    datasets[4].FrameOfReferenceUID = "2.25.1"
    with raises_code(MixedAcquisitionsError, 2):
        arrange(_planes(datasets))


@pytest.mark.parametrize("localizer", [True, False])
def test_a_scout_is_refused(localizer: bool) -> None:
    datasets = build(Stack())
    with raises_code(ScoutAmongSlicesError, "1 of 7"):
        arrange(_planes([*datasets, scout(datasets[0], 7, localizer=localizer)]))


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_slices_are_refused(count: int) -> None:
    with raises_code(SingleSliceError, count, 3):
        arrange(_planes(build(Stack())[:count]))


def test_mixed_matrix_sizes_are_refused() -> None:
    datasets = build(Stack(shape_zyx=(6, 9, 8)))
    datasets[2] = copy.deepcopy(datasets[2])
    datasets[2].Rows = 8
    with raises_code(MixedMatrixError, 1, "8 x 8", 5, "9 x 8"):
        arrange(_planes(datasets))


def test_mixed_pixel_spacing_is_refused() -> None:
    datasets = build(Stack())
    datasets[2].PixelSpacing = [0.8, 0.5]
    with raises_code(MixedMatrixError, "0.7500", "0.8000 mm"):
        arrange(_planes(datasets))


@pytest.mark.parametrize("cosines", [[1, 0, 0, 0.05, 1, 0], [1.02, 0, 0, 0, 1, 0], [1, 0, 0, 1, 0, 0], [0] * 6])
def test_cosines_beyond_repair_are_refused(cosines: list[float]) -> None:
    datasets = build(Stack())
    for dataset in datasets:
        dataset.ImageOrientationPatient = cosines
    with pytest.raises(NonOrthonormalError):
        arrange(_planes(datasets))


def test_a_shear_that_no_gantry_makes_is_refused() -> None:
    with raises_code(ExcessiveTiltError, "40.0"):
        arrange(_planes(build(Stack(tilt_deg=40))))
    with raises_code(ExcessiveTiltError, "10.0"):
        arrange(_planes(build(Stack(shear_x_deg=10))))


def test_slices_that_shift_in_their_plane_are_refused() -> None:
    datasets = build(Stack())
    for dataset in datasets[3:]:
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x + 5, y, z]
    with raises_code(GeometryError, "2.00 mm", "-19.00 mm"):
        arrange(_planes(datasets))


@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
@pytest.mark.parametrize("value", [None, [1.0]])
def test_an_absent_or_malformed_attribute_is_named(keyword: str, value: list[float] | None) -> None:
    datasets = build(Stack())
    setattr(datasets[1], keyword, value)
    with raises_code(MissingAttributeError, "1 of 6"):
        arrange(_planes(datasets))


def test_no_slices_at_all_are_refused() -> None:
    with pytest.raises(MissingAttributeError):
        arrange([])


def test_pixel_spacing_of_zero_is_refused() -> None:
    planes = [replace(p, spacing_yx=(0.0, 1.0)) for p in _planes(build(Stack()))]
    with raises_code(MissingAttributeError, "(0028,0030)", "6 of 6"):
        arrange(planes)


def _rounded_to_a_tenth() -> list[float]:
    return [round(0.625 * k, 1) for k in range(40)]


def test_positions_rounded_to_a_tenth_of_a_millimetre_are_evened_out() -> None:
    arrangement = arrange(_at(_rounded_to_a_tenth()))
    assert arrangement.grid.spacing_xyz[2] == pytest.approx(0.625, abs=2e-3)
    assert len(arrangement.notes) == 1


def test_a_missing_slice_is_no_rounding() -> None:
    positions = _rounded_to_a_tenth()
    del positions[20]
    with raises_code(VariableSpacingError):
        arrange(_at(positions))
