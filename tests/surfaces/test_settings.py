"""What a user may choose is checked before anything is computed."""

from __future__ import annotations

import numpy as np
import pytest

from cspine.core.anatomy import parse_levels, vertebra
from cspine.core.errors import DicomSourceNeededError, UsageError
from cspine.pipeline.settings import RunSettings
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
        {"levels": "C9"},
        {"levels": 3},
        {"disc_gap_mm": float("nan")},
        {"cortical_mm": float("inf")},
        {"edge_mm": "1"},
        {"materials": 2.5},
        {"formats": ()},
        {"formats": ("stl",)},
        {"density_line": (float("nan"), 0)},
        {"density_line": (0.001, float("inf"))},
        {"density_line": (-0.001, 0.05)},
        {"density_line": (0, 0.05)},
        {"density_line": (0.001,)},
        {"density_line": 0.001},
        {"density_line": (10**400, 0)},
        {"formats": None},
        {"formats": [1]},
        {"discs": "no"},
    ],
)
def test_values_out_of_range_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        FeSettings(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "values",
    [
        {"gap_mm": -1},
        {"gap_mm": 6},
        {"gap_mm": float("nan")},
        {"gap_mm": "1"},
        {"formats": ("step",)},
        {"formats": 3},
        {"ras": "no"},
    ],
)
def test_surfaces_out_of_range_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        SurfaceSettings(**values)  # type: ignore[arg-type]


def test_one_format_may_be_given_as_text() -> None:
    assert FeSettings(density_line=np.array([0.001, 0.05])).density_line == (0.001, 0.05)  # type: ignore[arg-type]
    assert FeSettings(formats="inp").formats == ("inp",)  # type: ignore[arg-type]
    assert SurfaceSettings(formats="glb, stl").formats == ("stl", "glb")  # type: ignore[arg-type]


def test_dicom_objects_need_a_series() -> None:
    SurfaceSettings(("stl",)).require_source(has_dicom=False)
    with pytest.raises(DicomSourceNeededError):
        SurfaceSettings(("stl", "dicom")).require_source(has_dicom=False)


@pytest.mark.parametrize("settings", [FeSettings, RunSettings])
def test_levels_may_be_given_by_name(settings: type[FeSettings] | type[RunSettings]) -> None:
    wanted = parse_levels("C4-C5")
    for levels in (wanted, ("C4", "C5"), ["C5", vertebra("C4")], "C4-C5"):
        assert settings(levels=levels).levels == wanted  # type: ignore[arg-type]
    assert settings().levels is None
    for wrong in ("", (), ("C9",), 5, (5,)):
        with pytest.raises(UsageError):
            settings(levels=wrong)  # type: ignore[arg-type]
