"""Find the neck for a model of one stage, so that its network sees that part of a scan alone.

The first stage of the shipped cervical model is the locator: 2 mm voxels, a few seconds for any scan.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cspine.core.anatomy import CERVICAL_LEVELS, Region, vertebra
from cspine.core.geometry import to_lps
from cspine.core.shape import Box, margin_zyx, occupied_box
from cspine.core.volumes import CtVolume, LabelArray, LabelVolume, Record
from cspine.inference.body import body_box
from cspine.inference.engines.choose import choose_engine
from cspine.inference.memory import network_shape
from cspine.inference.settings import InferenceSettings
from cspine.inference.sliding_window import Window, tiles_of
from cspine.inference.stage import StageRun, folds_of, level_table, run_stage
from cspine.models.package import ModelPackage, Stage

_log = logging.getLogger(__name__)

#: Cleans labels; it may only remove voxels.
Between = Callable[[LabelVolume], LabelVolume]

#: Margin around the located vertebrae: the locator may miss the end of a spinous process, or part of a level.
MARGIN_MM = 20.0
#: A level counts as located from this volume on.
MIN_LEVEL_MM3 = 500.0
#: Fewer cervical levels, or levels that do not follow each other, are no certain neck.
MIN_LEVELS = 4
#: Below this number of voxels that the network would see, in all its tiles, the locator saves nothing.
MIN_WORK_VOXELS = 2e7


@dataclass(frozen=True)
class Location:
    """Where the neck is.

    Parameters
    ----------
    box : tuple of slice or None
        The vertebrae with a margin; None if the complete image is to be seen, or none of it.
    levels : tuple of str
        Cervical levels that were located.
    seconds : float
        How long it took.
    """

    box: Box | None
    levels: tuple[str, ...]
    seconds: float

    @property
    def is_nothing(self) -> bool:
        """Whether no cervical vertebra was located."""
        return not self.levels

    @property
    def is_doubtful(self) -> bool:
        """Whether so few levels were located that the complete image is seen."""
        return self.box is None and not self.is_nothing

    def as_record(self) -> Record:
        """Return the location as plain values."""
        box = None if self.box is None else [[part.start, part.stop] for part in self.box]
        return {"box_zyx": box, "levels": list(self.levels), "seconds": self.seconds}


def saves_work(volume: CtVolume, stage: Stage, settings: InferenceSettings) -> bool:
    """Return whether the network of a stage has so much to see in a volume that finding the neck first is quicker."""
    plan = stage.plan
    shape, patch = network_shape(volume, stage), (1, *plan.patch_size)[-3:]
    tiles = len(tiles_of(shape, Window(plan.patch_size, settings.step_size, ())))
    mirrored = 2 ** len(stage.manifest.mirror_axes) if settings.mirror else 1
    return tiles * math.prod(patch) * mirrored * len(folds_of(stage, settings)) > MIN_WORK_VOXELS


def locate_neck(
    volume: CtVolume, locator: ModelPackage, settings: InferenceSettings, between: Between | None = None
) -> Location:
    """Return the box of the cervical vertebrae and T1 that the first stage of a package predicts.

    Parameters
    ----------
    volume : CtVolume
        The image.
    locator : ModelPackage
        Its first stage predicts cervical levels.
    settings : InferenceSettings
        Device, engine and precision.
    between : callable, optional
        Removes labels away from the column.

    Raises
    ------
    OutOfMemoryError, InferenceError
        If the network fails.
    """
    began = time.perf_counter()
    stage = locator.stages[0]
    plain = InferenceSettings(settings.device, precision=settings.precision, engine=settings.engine)
    engine = choose_engine(plain.device, plain.precision, plain.engine, (stage,))
    box = first_box(volume, stage)
    run = StageRun(stage, plain, engine, lambda done, total: None)
    part = run_stage(cropped(volume, box), None, run).labels_zyx
    labels: LabelArray = np.zeros(volume.hu_zyx.shape, dtype=np.uint8)
    labels[box] = level_table(stage)[part]
    if between is not None:
        labels = between(LabelVolume(labels, volume.affine_lps)).labels_zyx
    location = _location(labels, volume, round(time.perf_counter() - began, 3))
    where = "nothing" if location.is_nothing else ", ".join(location.levels)
    _log.info("located %s%s", where, "; the complete image is seen" if location.is_doubtful else "")
    return location


def _location(labels_zyx: LabelArray, volume: CtVolume, seconds: float) -> Location:
    occupied = occupied_box(labels_zyx, margin_zyx(MARGIN_MM, volume.grid))
    if occupied is None:
        return Location(None, (), seconds)
    voxels = np.bincount(labels_zyx[occupied].ravel(), minlength=256)
    cervical = [level for level in CERVICAL_LEVELS if level.region is Region.CERVICAL]
    if voxels[[level.label for level in cervical]].sum() * volume.grid.voxel_mm3 < MIN_LEVEL_MM3:
        return Location(None, (), seconds)
    found = [level.label for level in cervical if voxels[level.label] * volume.grid.voxel_mm3 >= MIN_LEVEL_MM3]
    names = tuple(vertebra(label).name for label in found) or ("a cervical vertebra",)
    is_certain = len(found) >= MIN_LEVELS and found[-1] - found[0] == len(found) - 1
    return Location(occupied if is_certain else None, names, seconds)


def first_box(volume: CtVolume, stage: Stage) -> Box:
    """Return what the first stage of a model sees: the complete image, or the box of the patient."""
    if stage.manifest.field_of_view == "body":
        return body_box(volume)
    z, y, x = volume.hu_zyx.shape
    return slice(0, z), slice(0, y), slice(0, x)


def cropped(volume: CtVolume, box: Box) -> CtVolume:
    """Return the part of the volume within a box."""
    first_xyz = np.array([[part.start for part in reversed(box)]], dtype=np.float64)
    affine = volume.affine_lps.copy()
    affine[:3, 3] = to_lps(volume.affine_lps, first_xyz)[0]
    return CtVolume(volume.hu_zyx[box], affine)
