"""A finite-element model of three simple vertebrae, built once."""

from __future__ import annotations

import pytest

from cspine.surfaces.fe_model import FeModel, build_model
from cspine.surfaces.fe_settings import FeSettings
from tests.builders.solid_vertebrae import column, uniform_ct


@pytest.fixture(scope="session")
def fe_model() -> FeModel:
    """C3 to C5 with discs, 2.5 mm edges, 400 HU everywhere."""
    labels = column()
    return build_model(labels, uniform_ct(labels, 400), FeSettings(edge_mm=2.5, discs=True))
