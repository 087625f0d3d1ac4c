"""A split dataset of tiny cases: blocks that stand for C1, C2, ... under each other, in images of a few centimetres."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from cspine.core.geometry import reorientation
from cspine.core.volumes import LabelVolume
from cspine.io import nifti
from cspine.study.datasets.case_table import CASE_TABLE, CaseRow, Subset, read_cases, write_cases
from cspine.study.datasets.dataset_folder import SPLITS, DatasetFolder, kind_of
from cspine.study.datasets.split import splits_final
from cspine.study.label_sets import label_set

_SPACING_MM = 3.0
_SHAPE = (34, 28, 26)


def tiny_dataset(
    root: Path,
    training: int = 4,
    internal: int = 1,
    external: int = 1,
    folds: int = 2,
    name: str = "cervical",
    scale: int = 1,
) -> DatasetFolder:
    """Write a dataset under ``root`` (named like Dataset501_Tiny), split into folds; ``folds=0`` for no split.

    ``scale`` is the number of voxels instead of one along each axis, in the same millimetres.
    """
    folder, labels = DatasetFolder(root), label_set(name)
    subsets = [Subset.TRAINING] * training + [Subset.INTERNAL] * internal + [Subset.EXTERNAL] * external
    rows = []
    for number, subset in enumerate(subsets):
        row = CaseRow(
            case=f"case_{number}",
            source="TotalSegmentator" if subset is Subset.EXTERNAL else "VerSe 2019",
            patient=f"patient_{number}",
            image=f"case_{number}.nii.gz",
            age_years=40.0 + number,
            sex="MF"[number % 2],
            spacing_mm=(_SPACING_MM / scale,) * 3,
            shape=tuple(n * scale for n in _SHAPE[::-1]),
            orientation="LPS",
            levels=tuple(level.name for level in labels.levels[:8]),
            subset=subset if folds else Subset.UNUSED,
            fold=number % folds if folds and subset is Subset.TRAINING else None,
        )
        rows.append(row)
        write_case(folder, row, number, scale=scale)
    write_cases(root / CASE_TABLE, rows)
    folder.write_dataset_json(labels, rows, "made by a test")
    if folds:
        write_splits(folder)
    return folder


def write_case(folder: DatasetFolder, row: CaseRow, seed: int, orientation: str = "LPS", scale: int = 1) -> None:
    """Write image and network labels of a case."""
    rng = np.random.default_rng(seed)
    labels_zyx = np.zeros(_SHAPE, dtype=np.uint8)
    y, x = 8 + rng.integers(0, 6), 8 + rng.integers(0, 5)
    for index in range(8):
        top = _SHAPE[0] - 1 - 4 * index
        labels_zyx[top - 2 : top, y : y + 8, x : x + 8] = index + 1
    for axis in range(3):
        labels_zyx = np.repeat(labels_zyx, scale, axis)
    hu = np.where(labels_zyx > 0, 500, 30) + rng.normal(0, 30, labels_zyx.shape)
    affine = np.diag([_SPACING_MM / scale] * 3 + [1.0])
    change = reorientation(affine, orientation)
    grid = change.grid(LabelVolume(labels_zyx, affine).grid)
    image, labels = folder.pair(kind_of(row), row.case)
    nifti.write(image, np.ascontiguousarray(change.apply(hu.astype(np.int16))), grid.affine_lps)
    nifti.write(labels, np.ascontiguousarray(change.apply(labels_zyx)), grid.affine_lps)


def write_splits(folder: DatasetFolder) -> None:
    """Write splits_final.json as `cspine dataset split` does."""
    text = json.dumps(splits_final(read_cases(folder.root / CASE_TABLE)))
    (folder.root / SPLITS).write_text(text, encoding="utf-8")
