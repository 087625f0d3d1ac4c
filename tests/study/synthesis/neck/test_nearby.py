"""Boxes around what is near: no voxel that is near is omitted."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cspine.study.synthesis.case import centred_grid
from cspine.study.synthesis.neck.nearby import STEP, PointGrid
from cspine.study.synthesis.neck.soft_tissue import Stance, column_points


@pytest.fixture(scope="module")
def where() -> PointGrid:
    grid = centred_grid(np.array([50.0, 40.0, 30.0]), (1.0, 1.0, 1.0))
    return PointGrid(column_points(grid, np.zeros(3), Stance(np.eye(3), (), 0)), 1.0)


@pytest.mark.parametrize("spot", [(0.0, 0.0, 0.0), (24.0, -19.0, 14.0), (-20.0, 5.0, -14.0)])
def test_the_box_has_every_voxel_within_reach(where: PointGrid, spot: tuple[float, float, float]) -> None:
    centre = torch.tensor(spot)
    box = where.box((where.sparse_xyz - centre).norm(dim=-1) < 5.0 + STEP)
    assert box is not None
    inside = torch.zeros(where.points_xyz.shape[:3], dtype=torch.bool)
    inside[box] = True
    near = (where.points_xyz - centre).norm(dim=-1) < 5.0
    assert near.any() and not (near & ~inside).any()
    assert not inside.all()


def test_nothing_near_has_no_box(where: PointGrid) -> None:
    assert where.box(torch.zeros(where.sparse_xyz.shape[:3], dtype=torch.bool)) is None
