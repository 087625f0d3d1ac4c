"""A small spine of known dimensions as a DICOM study, with its segmentation and its measurements."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np
from pydicom import Dataset

from cspine.core.volumes import CtSource, CtVolume, LabelVolume, ModelIdentity, SourceSlice
from cspine.dicom.clock import Clock
from cspine.dicom.seg import SegRecord, SegSettings, write_segmentation
from cspine.dicom.seg_type import SegType
from cspine.measurements.spine import SpineMeasurements, measure_spine
from cspine.study.synthesis.known_spine import known_spine
from tests.builders.ct_series import Stack, build, save_all

CLOCK = Clock(datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC))
MODEL = ModelIdentity("neck-net", "1.0", "cd" * 32, demonstration=True)
SPACING = (1.0, 1.0, 1.5)


@cache
def labelled(levels: tuple[str, ...] = ("C4", "C5", "C6"), cut_mm: float = 0.0) -> LabelVolume:
    """Labels of some levels; the image ends so far above their lower end."""
    spine = known_spine()
    spine = replace(spine, vertebrae=tuple(v for v in spine.vertebrae if v.level in levels))
    labels = spine.draw(spine.grid(SPACING))
    occupied = np.flatnonzero(labels.labels_zyx.any(axis=(1, 2)))
    first = int(occupied[0]) + (int(cut_mm / SPACING[2]) if cut_mm else -2)
    affine = labels.affine_lps.copy()
    affine[2, 3] += first * SPACING[2]
    return LabelVolume(labels.labels_zyx[first : int(occupied[-1]) + 3], affine, MODEL)


def ct_series(folder: Path, labels: LabelVolume, shift: int = 0) -> tuple[list[Dataset], CtVolume]:
    """A DICOM series on the grid of labels, bone of 300 HU and more by ``shift``, as datasets and as a volume."""
    stack = Stack(
        shape_zyx=labels.labels_zyx.shape,
        spacing_xyz=SPACING,
        origin_lps=tuple(float(v) for v in labels.affine_lps[:3, 3]),
    )
    datasets = build(stack)
    if shift:
        for dataset in datasets:
            dataset.SeriesInstanceUID = f"{dataset.SeriesInstanceUID}.{shift}"
            dataset.SOPInstanceUID = f"{dataset.SOPInstanceUID}.{shift}"
    paths = save_all(datasets, folder)
    hu = np.where(labels.labels_zyx > 0, 300 + shift, 40).astype(np.int16)
    slices = tuple(SourceSlice(p, str(d.SOPInstanceUID)) for p, d in zip(paths, datasets, strict=True))
    return datasets, CtVolume(hu, stack.grid.affine_lps, CtSource(slices, stack.grid))


def segmentation(labels: LabelVolume, ct: CtVolume, path: Path, seg_type: SegType = SegType.BINARY) -> SegRecord:
    """The segmentation of the labels."""
    return write_segmentation(labels, ct, SegSettings(CLOCK, seg_type, (("folds", "all"),)), path)


def measured(labels: LabelVolume, ct: CtVolume, sex: str = "F") -> SpineMeasurements:
    """The measurements."""
    return measure_spine(labels, ct, sex)
