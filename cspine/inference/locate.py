"""Find the neck, so that a network sees that part of a scan alone.

The first stage of a cervical model is the locator: that of the shipped one, with 2 mm voxels, for models of one stage;
its own for a model of several. A long scan is looked at from the head downwards, until there is a column.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from cspine.core.anatomy import CERVICAL_LEVELS, Region, vertebra
from cspine.core.geometry import reorientation, to_lps
from cspine.core.shape import Box, composed, grown_box, margin_zyx, occupied_box
from cspine.core.volumes import CtVolume, LabelArray, LabelVolume, Record
from cspine.inference.body import body_box
from cspine.inference.engines.base import Engine
from cspine.inference.engines.choose import choose_engine
from cspine.inference.memory import network_shape
from cspine.inference.reach import faces_reached
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
#: A patient who is less high in the image is seen completely: head and neck are most of it.
MIN_SURVEY_MM = 500.0
#: Height of a part of a long scan that is looked at: head and neck.
PART_MM = 384.0
#: Its width, at the centre of the patient: that of one patch of the shipped first stage, twice that of a vertebra.
PART_WIDTH_MM = 128.0
#: Height that a part shares with the next one, so that one of them contains the neck completely.
OVERLAP_MM = 180.0
#: After so many parts without a neck the complete image is seen.
MAX_PARTS = 4


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
    """Return whether the network of a stage has so much to see in a volume that finding the neck first is quicker.

    Parameters
    ----------
    volume : CtVolume
        The image.
    stage : Stage
        The stage.
    settings : InferenceSettings
        Folds, mirroring and step size, which multiply the work.
    """
    plan = stage.plan
    shape, patch = network_shape(volume.grid, stage), (1, *plan.patch_size)[-3:]
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
    run = StageRun(stage, plain, engine, lambda done, total: None)
    box = first_box(volume, stage)
    found = _survey(volume, box, run, between) or _location(box, _levels(cropped(volume, box), run, between), volume)
    location = replace(found, seconds=round(time.perf_counter() - began, 3))
    where = "nothing" if location.is_nothing else ", ".join(location.levels)
    _log.info("located %s%s", where, "; the complete image is seen" if location.is_doubtful else "")
    return location


def survey_neck(
    volume: CtVolume, stage: Stage, settings: InferenceSettings, engine: Engine, between: Between | None = None
) -> Location | None:
    """Return where the neck is in a long scan, from few tiles of a first stage; None if that is not certain.

    The scan is looked at from the head downwards, in parts as high as head and neck at the centre of the patient, until
    one contains a column that does not go on beyond it.

    Parameters
    ----------
    volume : CtVolume
        The scan, in any orientation.
    stage : Stage
        First stage of a cervical model.
    settings : InferenceSettings
        Folds and step size.
    engine : Engine
        Runs the network.
    between : callable, optional
        Removes labels away from the column.

    Raises
    ------
    OutOfMemoryError, InferenceError
        If the network fails.
    """
    began = time.perf_counter()
    quick = replace(settings, mirror=False, folds=folds_of(stage, settings)[:1])
    run = StageRun(stage, quick, engine, lambda done, total: None)
    found = _survey(volume, first_box(volume, stage), run, between)
    if found is None:
        return None
    location = replace(found, seconds=round(time.perf_counter() - began, 3))
    _log.info("located %s in %.1f s", ", ".join(location.levels), location.seconds)
    return location


def _survey(volume: CtVolume, box: Box, run: StageRun, between: Between | None) -> Location | None:
    """Return the neck in the first part of a long scan that has a certain one; None if there is none."""
    grid = reorientation(volume.affine_lps, "LPS").grid(cropped(volume, box).grid)
    if grid.shape_zyx[0] * grid.spacing_xyz[2] < MIN_SURVEY_MM:
        return None
    for part in _parts(volume, box):
        levels = _levels(cropped(volume, part), run, between)
        if faces_reached(levels, part, part, volume.grid, sideways=True):
            continue
        location = _location(part, levels, volume)
        if location.box is not None:
            return location
    return None


def _parts(volume: CtVolume, box: Box) -> Iterator[Box]:
    """Yield the parts of a scan that are looked at, from the head downwards."""
    to_lps_axes = reorientation(volume.affine_lps, "LPS")
    shape, spacing = volume.grid.shape_zyx, to_lps_axes.grid(volume.grid).spacing_xyz
    patient = to_lps_axes.box(box, shape)
    height, step = (max(1, round(mm / spacing[2])) for mm in (PART_MM, PART_MM - OVERLAP_MM))
    half_width = round(PART_WIDTH_MM / spacing[0] / 2)
    for number in range(MAX_PARTS):
        stop = patient[0].stop - number * step
        start = max(stop - height, patient[0].start)
        rows = to_lps_axes.undo_box((slice(start, stop), patient[1], patient[2]), shape)
        around = to_lps_axes.box(composed(rows, body_box(cropped(volume, rows))), shape)
        centre = (around[2].start + around[2].stop) // 2
        sides = slice(max(centre - half_width, patient[2].start), min(centre + half_width, patient[2].stop))
        yield to_lps_axes.undo_box((slice(start, stop), around[1], sides), shape)
        if start == patient[0].start:
            return


def _levels(volume: CtVolume, run: StageRun, between: Between | None) -> LabelArray:
    """Return the levels that a stage predicts in a volume, without those away from the column."""
    levels: LabelArray = level_table(run.stage)[run_stage(volume, None, run).labels_zyx]
    if between is None or not levels.any():
        return levels
    return between(LabelVolume(levels, volume.affine_lps)).labels_zyx


def _location(box: Box, labels_zyx: LabelArray, volume: CtVolume) -> Location:
    """Return the location that the labels in a box of the volume show; its caller knows how long it took."""
    occupied = occupied_box(labels_zyx)
    if occupied is None:
        return Location(None, (), 0.0)
    voxels = np.bincount(labels_zyx[occupied].ravel(), minlength=256)
    cervical = [level for level in CERVICAL_LEVELS if level.region is Region.CERVICAL]
    if voxels[[level.label for level in cervical]].sum() * volume.grid.voxel_mm3 < MIN_LEVEL_MM3:
        return Location(None, (), 0.0)
    found = [level.label for level in cervical if voxels[level.label] * volume.grid.voxel_mm3 >= MIN_LEVEL_MM3]
    names = tuple(vertebra(label).name for label in found) or ("a cervical vertebra",)
    is_certain = len(found) >= MIN_LEVELS and found[-1] - found[0] == len(found) - 1
    if not is_certain:
        return Location(None, names, 0.0)
    neck = grown_box(composed(box, occupied), margin_zyx(MARGIN_MM, volume.grid), volume.grid.shape_zyx)
    return Location(neck, names, 0.0)


def first_box(volume: CtVolume, stage: Stage) -> Box:
    """Return what the first stage of a model sees: the complete image, or the box of the patient.

    Parameters
    ----------
    volume : CtVolume
        The image.
    stage : Stage
        The first stage, whose manifest states its field of view.

    Returns
    -------
    tuple of slice
        Slices along z, y and x.
    """
    if stage.manifest.field_of_view == "body":
        return body_box(volume)
    z, y, x = volume.hu_zyx.shape
    return slice(0, z), slice(0, y), slice(0, x)


def cropped(volume: CtVolume, box: Box) -> CtVolume:
    """Return the part of the volume within a box.

    Parameters
    ----------
    volume : CtVolume
        The image.
    box : tuple of slice
        Slices along z, y and x.

    Returns
    -------
    CtVolume
        A view of the voxels with their own affine, without a source.
    """
    first_xyz = np.array([[part.start for part in reversed(box)]], dtype=np.float64)
    affine = volume.affine_lps.copy()
    affine[:3, 3] = to_lps(volume.affine_lps, first_xyz)[0]
    return CtVolume(volume.hu_zyx[box], affine)
