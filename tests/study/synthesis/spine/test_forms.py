"""Forms of vertebrae made of solids."""

from __future__ import annotations

import cc3d
import numpy as np
import pytest

from cspine.core.anatomy import SACRUM, VERTEBRAE
from cspine.core.norms import plausible_ml
from cspine.study.synthesis.spine.forms import SpineForms, parametric_form


def test_there_is_a_form_for_every_level_and_the_sacrum(solid_forms: SpineForms) -> None:
    assert set(solid_forms.forms) == {*(level.label for level in VERTEBRAE), SACRUM}


@pytest.mark.parametrize("level", VERTEBRAE, ids=lambda level: level.name)
def test_a_form_is_one_symmetric_bone_of_plausible_volume(solid_forms: SpineForms, level) -> None:
    form = solid_forms.forms[level.label]
    inside = form.distance_mm > 0
    low, high = plausible_ml(level)
    assert low * 0.7 < np.count_nonzero(inside) / 1000 < high
    assert np.array_equal(inside, inside[..., ::-1])
    sizes = np.sort(np.bincount(cc3d.connected_components(inside, connectivity=26).ravel())[1:])[::-1]
    assert sizes[1:].sum() < 0.02 * sizes[0]
    assert form.above_mm > 0 and form.below_mm > 0
    edges = [inside[0], inside[-1], inside[:, 0], inside[:, -1], inside[..., 0], inside[..., -1]]
    assert not any(edge.any() for edge in edges)  # nothing is cut off by the lattice


def test_a_vertebra_has_a_canal_behind_its_body() -> None:
    form = parametric_form(VERTEBRAE[20])
    x, y, z = (round(-low) for low in form.low_xyz)
    line = form.distance_mm[z, :, x] > 0
    front_to_back = np.flatnonzero(np.diff(line.astype(int)))
    assert len(front_to_back) >= 4  # body, canal, spinous process
    assert line[y]


def test_the_sacrum_is_larger_than_any_vertebra(solid_forms: SpineForms) -> None:
    volumes = {label: np.count_nonzero(form.distance_mm > 0) for label, form in solid_forms.forms.items()}
    assert max(volumes, key=lambda label: volumes[label]) == SACRUM
