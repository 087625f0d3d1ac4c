"""What a user may choose is checked before anything is computed."""

from __future__ import annotations

import pytest

from cspine.core.errors import DicomSourceNeededError, UsageError
from cspine.surfaces.fe_settings import FeSettings, parse_fe_formats
from cspine.surfaces.settings import SurfaceSettings, parse_formats


def test_formats_are_sorted_and_others_refused() -> None:
    assert parse_formats("GLB, stl") == ("stl", "glb")
    assert parse_fe_formats("vtu,inp") == ("inp", "vtu")
    for text in ("", "stl,step"):
        with pytest.raises(UsageError):
            parse_formats(text)
    with pytest.raises(UsageError):
        parse_fe_formats("msh")


@pytest.mark.parametrize(
    "values",
    [
        {"edge_mm": 0.1},
        {"edge_mm": 9},
        {"order": 3},
        {"facet_gap_mm": -1},
        {"disc_gap_mm": 6},
        {"cortical_mm": -1},
        {"materials": 0},
        {"compression": 30},
    ],
)
def test_values_out_of_range_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        FeSettings(**values)  # type: ignore[arg-type]


def test_dicom_objects_need_a_series() -> None:
    SurfaceSettings(("stl",)).require_source(has_dicom=False)
    with pytest.raises(DicomSourceNeededError):
        SurfaceSettings(("stl", "dicom")).require_source(has_dicom=False)
