"""The box of the patient holds all of the patient, and leaves the table and the air out."""

import numpy as np
import pytest

from cspine.core.geometry import make_affine
from cspine.core.volumes import CtVolume
from cspine.inference.body import body_box


def _volume(hu: np.ndarray, spacing: tuple[float, float, float] = (1.0, 1.0, 2.0)) -> CtVolume:
    return CtVolume(hu.astype(np.int16), make_affine(np.eye(3), spacing, np.zeros(3)))


def test_body_is_kept_and_a_separate_table_is_not() -> None:
    hu = np.full((40, 160, 160), -1000)
    hu[:, 40:80, 50:110] = 30
    hu[:, 120:124, 20:140] = 100
    z, y, x = body_box(_volume(hu))
    assert (z.start, z.stop) == (0, 40)
    assert 24 <= y.start <= 40 and 80 <= y.stop <= 97
    assert 34 <= x.start <= 50 and 110 <= x.stop <= 127


@pytest.mark.parametrize("spacing", [(0.4, 0.4, 0.6), (1.0, 1.0, 5.0), (6.0, 6.0, 6.0)])
def test_no_dense_voxel_of_the_body_is_lost_at_any_spacing(spacing: tuple[float, float, float]) -> None:
    hu = np.full((30, 70, 70), -1000)
    hu[4:25, 21:50, 33:60] = 0
    z, y, x = body_box(_volume(hu, spacing))
    assert z.start <= 4 and z.stop >= 25
    assert y.start <= 21 and y.stop >= 50
    assert x.start <= 33 and x.stop >= 60


def test_an_image_of_air_is_kept_complete() -> None:
    box = body_box(_volume(np.full((12, 20, 16), -1000)))
    assert [(part.start, part.stop) for part in box] == [(0, 12), (0, 20), (0, 16)]
