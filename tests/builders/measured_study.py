"""A small spine of known dimensions as a DICOM study, with its segmentation and its measurements."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np
from pydicom import dcmread

from cspine.core.volumes import CtSource, CtVolume, LabelVolume, ModelIdentity, SourceSlice
from cspine.dicom.clock import Clock
from cspine.dicom.seg import SegRecord, SegSettings, write_segmentation
from cspine.dicom.seg_type import SegType
from cspine.dicom.write_ct import CtSeriesDescription, write_ct_series
from cspine.measurements.spine import SpineMeasurements, measure_spine
from cspine.study.synthesis.known_spine import known_spine

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


def ct_series(folder: Path, labels: LabelVolume, shift: int = 0) -> CtVolume:
    """Write a DICOM series on the grid of labels, bone of 300 HU and more by ``shift``, and return its volume."""
    hu = np.where(labels.labels_zyx > 0, 300 + shift, 40).astype(np.int16)
    hu[:, :3] = -900  # air before the neck
    description = CtSeriesDescription(uid_seed=f"measured {shift}", patient_id="measured", patient_sex="F")
    paths = write_ct_series(CtVolume(hu, labels.affine_lps), folder, description)
    slices = tuple(SourceSlice(path, str(dcmread(path, stop_before_pixels=True).SOPInstanceUID)) for path in paths)
    return CtVolume(hu, labels.affine_lps, CtSource(slices, labels.grid))


def segmentation(labels: LabelVolume, ct: CtVolume, path: Path, seg_type: SegType = SegType.BINARY) -> SegRecord:
    """The segmentation of the labels."""
    return write_segmentation(labels, ct, SegSettings(CLOCK, seg_type, (("folds", "all"),)), path)


def measured(labels: LabelVolume, ct: CtVolume, sex: str = "F") -> SpineMeasurements:
    """The measurements."""
    return measure_spine(labels, ct, sex)
