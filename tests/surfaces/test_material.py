"""Density and modulus."""

from __future__ import annotations

import numpy as np
import pytest

from cspine.core.volumes import CtVolume
from cspine.surfaces import material


def test_density_and_modulus_follow_the_relations() -> None:
    density = material.density_of(np.array([0.0, 200.0, -500.0, 9000.0]))
    np.testing.assert_allclose(density, [0.05, 0.047 + 0.2244, 0.05, 2.0])
    assert material.modulus_of(np.array([0.2714]))[0] == pytest.approx(4730 * 0.2714**1.56)
    assert material.density_of(np.array([100.0]), (0.001, 0.01))[0] == pytest.approx(0.11)


def test_the_mean_of_a_linear_image_is_its_value_at_the_centre() -> None:
    x = np.arange(20, dtype=np.float32)
    ct = CtVolume(np.broadcast_to(10 * x, (20, 20, 20)).copy(), np.eye(4))
    points = np.array([[2.0, 3, 4], [9, 4, 5], [4, 11, 6], [5, 5, 12]])
    assert material.mean_hu(ct, points, np.array([[0, 1, 2, 3]]))[0] == pytest.approx(
        10 * points[:, 0].mean(), rel=1e-3
    )


def test_groups_hold_similar_elements() -> None:
    density = np.linspace(0.1, 1.5, 500)
    group, materials = material.grouped(density, 10)
    assert len(materials) == 10
    assert len({each.name for each in materials}) == 10
    moduli = material.modulus_of(density)
    for i, each in enumerate(materials):
        assert np.abs(np.log(moduli[group == i] / each.modulus_mpa)).max() < np.log(moduli[-1] / moduli[0]) / 10
    assert len(material.grouped(np.full(5, 0.3), 10)[1]) == 1


def test_the_share_of_limited_densities_is_known() -> None:
    hu = np.array([-500.0, 100.0, 200.0, 9000.0])
    assert material.clipped_share(hu) == 0.5
    assert material.clipped_share(hu, (0.8, 10)) == 1.0
