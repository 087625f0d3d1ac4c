"""CT volumes whose slices are stored as DICOM, with vertebrae of simple shapes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pydicom import Dataset

from cspine.core.geometry import Grid
from cspine.core.volumes import CtSource, CtVolume, LabelVolume, ModelIdentity, SourceSlice
from cspine.dicom.clock import Clock
from cspine.dicom.derived import ObjectSettings
from tests.builders.ct_series import Stack, build, save_all

MODEL = ModelIdentity("neck-net", "1.0", "cd" * 32, demonstration=True)
SETTINGS = ObjectSettings(Clock(datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)), (("folds", "all"),))
STACK = Stack(shape_zyx=(12, 26, 34), spacing_xyz=(0.5, 0.75, 2.0))


def rings(shape_zyx: tuple[int, int, int]) -> np.ndarray:
    """C2 with a canal and a separate piece, C3, and T1 of single voxels; the first and last slices are empty."""
    labels = np.zeros(shape_zyx, dtype=np.uint8)
    labels[2:5, 3:15, 4:18] = 2
    labels[2:5, 6:11, 7:13] = 0
    labels[2:4, 8, 9] = 2
    labels[3:5, 13:15, 22:25] = 2
    labels[5:8, 2:6, 12:20] = 3
    labels[5:8, 6:8, 14:16] = 3
    labels[9, 20, 5] = labels[9, 21, 6] = labels[10, 20:24, 5] = 8
    return labels


def stored(datasets: list[Dataset], grid: Grid, folder: Path) -> CtVolume:
    """The CT volume that a reader makes of single-frame datasets in slice order."""
    paths = save_all(datasets, folder)
    slices = tuple(SourceSlice(p, str(d.SOPInstanceUID)) for p, d in zip(paths, datasets, strict=True))
    return CtVolume(np.zeros(grid.shape_zyx, dtype=np.int16), grid.affine_lps, CtSource(slices, grid))


def stored_volume(folder: Path, stack: Stack = STACK) -> tuple[CtVolume, LabelVolume]:
    """A CT volume with stored slices and its vertebrae."""
    ct = stored(build(stack), stack.grid, folder)
    return ct, LabelVolume(rings(stack.shape_zyx), ct.affine_lps, MODEL)
