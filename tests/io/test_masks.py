"""One file per vertebra becomes one array; a voxel of two masks has one owner."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cspine.core.anatomy import SACRUM
from cspine.core.errors import CaseGridError
from cspine.io import nifti
from cspine.io.masks import combine_masks, mask_name

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


def mask(folder: Path, name: str, first: int, last: int, shift_mm: float = 0.0) -> Path:
    voxels = np.zeros((6, 2, 2), dtype=np.uint8)
    voxels[first : last + 1] = 1
    affine = AFFINE.copy()
    affine[2, 3] = shift_mm
    nifti.write(folder / mask_name(name), voxels, affine)
    return folder / mask_name(name)


def test_a_shared_voxel_goes_to_the_later_vertebra_and_never_to_the_sacrum(tmp_path: Path) -> None:
    files = [
        (mask(tmp_path, "C1", 0, 2), 1),
        (mask(tmp_path, "C2", 2, 3), 2),
        (mask(tmp_path, "S1", 3, 4), SACRUM),
    ]
    combined = combine_masks(files)
    assert combined is not None
    assert combined.labels.labels_zyx[:, 0, 0].tolist() == [1, 1, 2, 2, SACRUM, 0]
    assert combined.shared_mm3 == pytest.approx(4 * 8.0)
    assert combine_masks([]) is None


def test_masks_of_different_grids_are_refused(tmp_path: Path) -> None:
    files = [(mask(tmp_path, "C1", 0, 1), 1), (mask(tmp_path, "C2", 2, 3, shift_mm=0.5), 2)]
    with pytest.raises(CaseGridError):
        combine_masks(files)
