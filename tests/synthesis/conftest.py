"""The tiny atlas, loaded once."""

from __future__ import annotations

from pathlib import Path

import pytest

from cspine.synthesis.atlas import Atlas, load_atlas


@pytest.fixture(scope="session")
def atlas(atlas_folder: Path, atlas_cache: Path) -> Atlas:
    return load_atlas(atlas_folder, cache=atlas_cache)
