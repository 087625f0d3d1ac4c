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


def test_an_unknown_value_is_neither() -> None:
    assert not is_hounsfield_type(("DERIVED", "SECONDARY", "SOMETHING"))
    assert not other_quantity(("DERIVED", "SECONDARY", "SOMETHING"))
