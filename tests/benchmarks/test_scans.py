"""CTs of any size, made of one."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.scans import resampled, scan_of, with_trunk
from cspine.core.geometry import to_lps
from cspine.core.volumes import CtVolume

_AFFINE = np.diag([2.0, 3.0, 4.0, 1.0])


def _neck(*, foot_first: bool = True) -> CtVolume:
    """Soft tissue with a column of bone, and a value of its own in each slice."""
    hu_zyx = np.repeat(np.arange(12, dtype=np.int16), 8 * 6).reshape(12, 8, 6)
    hu_zyx[:, 3:5, 2:4] = 500
    affine = _AFFINE.copy()
    if not foot_first:
        affine[2] *= -1
        affine[0] *= -1
    return CtVolume(hu_zyx, affine)


def test_a_resampled_scan_has_the_field_of_view_of_the_ct() -> None:
    ct = _neck()
    finer = resampled(ct, (24, 16, 12))
    assert finer.grid.spacing_xyz == (1.0, 1.5, 2.0)
    edges = [to_lps(one.affine_lps, np.array([[-0.5, -0.5, -0.5]])) for one in (ct, finer)]
    assert np.allclose(*edges)
    assert finer.hu_zyx[0, 0, 0] == 0 and finer.hu_zyx[-1, 0, 0] == 11


@pytest.mark.parametrize("foot_first", [True, False])
def test_a_longer_scan_keeps_the_neck_where_it_was_and_has_no_bones_below(foot_first: bool) -> None:
    ct = _neck(foot_first=foot_first)
    longer = with_trunk(ct, 40)
    assert longer.hu_zyx.shape == (40, 8, 6) and longer.grid.spacing_xyz == ct.grid.spacing_xyz
    neck, trunk = (longer.hu_zyx[28:], longer.hu_zyx[:28]) if foot_first else (longer.hu_zyx[:12], longer.hu_zyx[12:])
    assert np.array_equal(neck, ct.hu_zyx)
    first_of_neck = to_lps(longer.affine_lps, np.array([[0.0, 0.0, 28.0 if foot_first else 0.0]]))
    assert np.allclose(first_of_neck, to_lps(ct.affine_lps, np.zeros((1, 3))))
    assert trunk.max() < 500 and trunk.std() > 0
    head_z, foot_z = (
        to_lps(longer.affine_lps, np.array([[0.0, 0.0, float(k)]]))[0, 2] for k in ((39, 0) if foot_first else (0, 39))
    )
    assert head_z > foot_z


@pytest.mark.parametrize(("slices", "z_mm"), [(6, 8.0), (24, 2.0), (30, 2.0)])
def test_slices_beyond_the_neck_have_its_distance(slices: int, z_mm: float) -> None:
    scan = scan_of(_neck(), slices, 24, 16)
    assert scan.hu_zyx.shape == (slices, 16, 16)
    assert scan.grid.spacing_xyz[2] == pytest.approx(z_mm)
