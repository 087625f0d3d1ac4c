"""What Image Type says about the values."""

from __future__ import annotations

import pytest

from cspine.dicom.image_type import is_hounsfield_type, other_quantity


@pytest.mark.parametrize(
    "value", ["AXIAL", "HELIX", "CT_SOM5 SPI", "JP2K LOSSY 6:1", "MPR", "VOLUME", "NONE", "average", "DET_DD"]
)
def test_ordinary_images_are_in_hounsfield_units(value: str) -> None:
    assert is_hounsfield_type(("DERIVED", "SECONDARY", value))
    assert not other_quantity(("DERIVED", "SECONDARY", value))


@pytest.mark.parametrize(
    "value", ["DE_IODINE", "IODINE", "Z_EFF", "EFF_ATOMIC_NUM", "ELECTRON_DENSITY", "MAT_SPECIFIC", "CBV", "fused"]
)
def test_maps_are_named_as_another_quantity(value: str) -> None:
    assert other_quantity(("DERIVED", "SECONDARY", "AXIAL", value)) == value
    assert not is_hounsfield_type(("DERIVED", "SECONDARY", "AXIAL", value))


@pytest.mark.parametrize("value", ["MAT_REMOVED", "MAT_MODIFIED", "VNCA", "VNC", "MASKED", "BONE_REMOVAL"])
def test_an_image_without_one_of_its_materials_is_another_quantity(value: str) -> None:
    assert other_quantity(("DERIVED", "PRIMARY", "AXIAL", value)) == value
    assert not is_hounsfield_type(("DERIVED", "PRIMARY", "AXIAL", value))


@pytest.mark.parametrize("value", ["MAXIMUM", "MINIMUM", "MIP", "THIN_MIP", "MAX_IP", "MIN_IP", "MinIP"])
def test_a_projection_of_the_largest_or_smallest_values_is_another_quantity(value: str) -> None:
    assert other_quantity(("DERIVED", "SECONDARY", "AXIAL", value)) == value
    assert not is_hounsfield_type(("DERIVED", "SECONDARY", "AXIAL", value))


def test_an_unknown_value_is_neither() -> None:
    assert not is_hounsfield_type(("DERIVED", "SECONDARY", "SOMETHING"))
    assert not other_quantity(("DERIVED", "SECONDARY", "SOMETHING"))
