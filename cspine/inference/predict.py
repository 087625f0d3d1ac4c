"""Predict the vertebrae of a CT volume with the stages of a model package."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from cspine.core.anatomy import CERVICAL_LEVELS, Vertebra, is_full_spine
from cspine.core.padding import not_scanned
from cspine.core.progress import ProgressCallback
from cspine.core.shape import Box, common_box, composed, margin_zyx, occupied_box, relative_box
from cspine.core.volumes import CtVolume, LabelArray, LabelVolume, Record
from cspine.inference.engines.base import Engine
from cspine.inference.engines.choose import choose_engine
from cspine.inference.locate import Between, Location, cropped, first_box, locate_neck, saves_work, survey_neck
from cspine.inference.memory import require_memory
from cspine.inference.probability import ProbabilityField
from cspine.inference.reach import Face, enlarged, faces_reached
from cspine.inference.settings import InferenceSettings
from cspine.inference.stage import StageResult, StageRun, folds_of, level_table, run_stage
from cspine.models.calibration import Calibration
from cspine.models.package import ModelPackage
from cspine.models.qualification import qualified_for

_log = logging.getLogger(__name__)

#: How often a box is enlarged, each time by twice as much, where vertebrae reach its end within the image.
_MAX_ENLARGEMENTS = 2
_MIN_ENLARGEMENT_MM = 10.0


@dataclass(frozen=True, kw_only=True)
class Inference:
    """The prediction of a model for a volume.

    Parameters
    ----------
    labels : LabelVolume
        Labels on the grid of the volume.
    auxiliary_zyx : ndarray of bool, shape (z, y, x)
        Voxels of the auxiliary classes (such as vertebrae without a label of their own): those of the last stage
        within its box, those of the stage before around it.
    removed_mm3 : dict of int to float
        Volume that was removed between the stages, by label.
    record : dict
        Effective settings, stages with their grids and folds, seconds.
    levels : tuple of Vertebra
        Levels that the model can predict, from head to foot.
    sacrum_zyx : ndarray of bool, shape (z, y, x), or None
        Voxels of the sacrum; None if none of the auxiliary classes is the sacrum.
    changed_share : dict of int to float
        Share of a level's voxels that the stage before assigned to another level, by label; of those that both stages
        assign to a vertebra. Empty for a model of one stage.
    probabilities : ProbabilityField or None
        Probabilities of the last stage; None if none was run.
    calibration : Calibration or None
        What the probabilities of the model are worth, if that was measured and is wanted.
    disagreement : dict of str to float, or None
        1 minus the mean Dice with results of altered images, by level; None if that was not measured.
    """

    labels: LabelVolume
    auxiliary_zyx: NDArray[np.bool_]
    removed_mm3: dict[int, float] = field(default_factory=dict)
    record: Record
    levels: tuple[Vertebra, ...] = CERVICAL_LEVELS
    sacrum_zyx: NDArray[np.bool_] | None = None
    changed_share: dict[int, float] = field(default_factory=dict)
    probabilities: ProbabilityField | None = None
    calibration: Calibration | None = None
    disagreement: dict[str, float] | None = None


def segment(
    volume: CtVolume,
    package: ModelPackage,
    settings: InferenceSettings | None = None,
    progress: ProgressCallback | None = None,
    between: Between | None = None,
    locator: Callable[[], ModelPackage | None] | None = None,
) -> Inference:
    """Return the vertebrae that a model package predicts for a CT volume.

    The first stage takes the whole volume, or the box of the patient if its manifest says so; of a long scan it takes
    the tiles that reach the neck, if a look at few tiles finds one with certainty. Each further stage takes the box
    around the vertebrae predicted so far with its margin, and its labels replace those in the box; the second stage of
    a cascade also takes the labels of the first. Where the column reaches the end of a box within the image, the stage
    is run in a larger one.

    Parameters
    ----------
    volume : CtVolume
        CT in any orientation; it is reoriented for each stage, and labels are reoriented back.
    package : ModelPackage
        Package from `models.package.load_package`.
    settings : InferenceSettings, optional
        Device, folds, mirroring, step size, precision.
    progress : callable, optional
        Called with the finished tiles and all tiles of a stage, first with none finished.
    between : callable, optional
        Cleans the labels of a stage for the next one; it may only remove voxels.
    locator : callable, optional
        Returns the package whose first stage finds the neck for a model of one stage, if that saves work; called when
        it is needed. Without it, such a model sees the complete image.

    Returns
    -------
    Inference

    Raises
    ------
    DeviceError
        If the device is not available.
    UsageError
        If a fold is not in the package.
    NotEnoughMemoryError
        If the volume certainly does not fit into memory.
    OutOfMemoryError, InferenceError
        If the network fails.
    """
    settings = settings or InferenceSettings()
    began = time.perf_counter()
    engine = engine_for(package, settings)
    _log.info("engine: %s, device: %s, %s", engine.name, engine.device, engine.precision)
    require_memory(volume.grid, package.stages, settings)
    state = _State(volume, package)
    location = _locate(volume, package, settings, engine, locator, between)
    if location is not None and location.is_nothing:
        return state.inference(_record(engine, settings, began) | {"stages": [], "roi": location.as_record()})
    for number, stage in enumerate(package.stages):
        if number > 0 and between is not None:
            state.clean(between)
        box = first_box(volume, stage) if number == 0 else box_around(state.labels, volume, stage.manifest.margin_mm)
        if box is None:
            _log.info("stage %s skipped: no vertebra was predicted before", stage.manifest.name)
            break
        is_last = number == len(package.stages) - 1
        run = StageRun(stage, settings, engine, progress or _no_progress, keeps_probabilities=is_last)
        if number == 0 and location is not None and location.box is not None:
            result, location = _run_located(state, box, run, location, between)
        else:
            result, box = _run_in_box(state, box, run, between)
        state.take(result, box, run)
        state.records.append({**result.record, "box_zyx": [[part.start, part.stop] for part in box]})
    roi = {} if location is None else {"roi": location.as_record()}
    return state.inference(_record(engine, settings, began) | {"stages": state.records, **roi})


def engine_for(package: ModelPackage, settings: InferenceSettings) -> Engine:
    """Return the engine that runs a model with these settings; whether it can is known before an image is read.

    Parameters
    ----------
    package : ModelPackage
        The model.
    settings : InferenceSettings
        Device, engine, precision, folds.

    Raises
    ------
    DeviceError
        If the device is not available.
    UsageError
        If a fold is not in the package, or the engine is not installed or does not run on the device.
    UnsupportedModelError
        If OpenVINO is required and cannot build a network of the model.
    """
    for stage in package.stages:
        folds_of(stage, settings)
    return choose_engine(settings.device, settings.precision, settings.engine, package.stages, qualified_for(package))


def _run_in_box(state: _State, box: Box, run: StageRun, between: Between | None) -> tuple[StageResult, Box]:
    """Run a stage in a box, and in a larger one where its column reaches the end of the box within the image.

    The stage before may have missed a vertebra, which the box then cuts.
    """
    volume, margin_mm = state.volume, run.stage.manifest.margin_mm
    for attempt in range(_MAX_ENLARGEMENTS + 1):
        previous = state.predicted[box] if run.stage.plan.is_cascade else None
        result = run_stage(cropped(volume, box), previous, run)
        faces = _column_reaches(result, box, box, run, volume, between)
        if not faces or attempt == _MAX_ENLARGEMENTS:
            break
        box = enlarged(box, faces, 2**attempt * max(margin_mm, _MIN_ENLARGEMENT_MM), volume.grid)
        _log.info(
            "stage %s: the column reaches the end of its box, so it is run in a larger one", run.stage.manifest.name
        )
    return result, box


def _run_located(
    state: _State, box: Box, run: StageRun, location: Location, between: Between | None
) -> tuple[StageResult, Location | None]:
    """Run a stage where the neck was located, and on the complete image where its column goes on beyond that.

    A model of several stages then works as it does on a short scan: nothing about its result is in doubt.
    """
    volume = cropped(state.volume, box)
    view = None if location.box is None else common_box(location.box, box)
    if view is not None:
        result = run_stage(volume, None, run, relative_box(view, box))
        if not _column_reaches(result, box, view, run, state.volume, between):
            return result, location
        _log.info("the column reaches the end of the located neck, so the complete image is seen")
    return run_stage(volume, None, run), replace(location, box=None) if len(state.package.stages) == 1 else None


def _column_reaches(
    result: StageResult, box: Box, seen: Box, run: StageRun, volume: CtVolume, between: Between | None
) -> tuple[Face, ...]:
    """Return the faces of what a stage saw that its labels reach, once those away from the column are removed."""
    if not faces_reached(result.labels_zyx, box, seen, volume.grid):  # of any class: two planes decide nearly always
        return ()
    levels = level_table(run.stage)[result.labels_zyx]
    faces = faces_reached(levels, box, seen, volume.grid)
    if not faces or between is None:
        return faces
    column = between(LabelVolume(levels, cropped(volume, box).affine_lps)).labels_zyx
    return faces_reached(column, box, seen, volume.grid)


def _record(engine: Engine, settings: InferenceSettings, began: float) -> Record:
    return {
        "engine": engine.name,
        "device": engine.device,
        "precision": engine.precision,
        "step_size": settings.step_size,
        "seconds": round(time.perf_counter() - began, 3),
    }


def _locate(
    volume: CtVolume,
    package: ModelPackage,
    settings: InferenceSettings,
    engine: Engine,
    locator: Callable[[], ModelPackage | None] | None,
    between: Between | None,
) -> Location | None:
    """Return where the neck is; None if the first stage sees the complete image anyway."""
    if settings.roi == "full" or is_full_spine(package.levels):
        return None
    if len(package.stages) > 1:
        return survey_neck(volume, package.stages[0], settings, engine, between)
    if locator is None or not saves_work(volume, package.stages[0], settings):
        return None
    finder = locator()
    return None if finder is None else locate_neck(volume, finder, settings, between)


class _State:
    """What the stages so far have predicted; arrays cover the volume, and only boxes with labels are touched."""

    def __init__(self, volume: CtVolume, package: ModelPackage) -> None:
        shape = volume.hu_zyx.shape
        self.volume, self.package = volume, package
        self.predicted: LabelArray = np.zeros(shape, dtype=np.uint8)  # in the labels of the network
        self.labels = self.predicted
        self.auxiliary = np.zeros(shape, dtype=np.bool_)
        self.sacrum = np.zeros(shape, dtype=np.bool_) if package.stages[-1].sacrum_labels else None
        self.removed = np.zeros(256, dtype=np.int64)
        self.changed: dict[int, float] = {}
        self.probabilities: ProbabilityField | None = None
        self.records: list[Record] = []

    def clean(self, between: Between) -> None:
        """Remove what is not to be seen by the next stage."""
        cleaned = between(LabelVolume(self.labels, self.volume.affine_lps, self.package.identity)).labels_zyx
        occupied = occupied_box(self.labels)
        if occupied is None:
            return
        before = self.labels[occupied]
        dropped = (before != 0) & (cleaned[occupied] == 0)
        self.removed += np.bincount(before[dropped], minlength=256)
        self.predicted[occupied][dropped] = 0
        self.labels = cleaned

    def take(self, result: StageResult, box: Box, run: StageRun) -> None:
        """Replace all labels by those of a stage in its box."""
        part_zyx, self.probabilities = result.labels_zyx, result.probabilities
        before, is_first = self.labels, not self.records
        self.predicted, self.labels = (np.zeros(before.shape, dtype=np.uint8) for _ in range(2))
        if not is_first:
            self.auxiliary[box] = False
            if self.sacrum is not None:
                self.sacrum[box] = False
        occupied = occupied_box(part_zyx)
        if occupied is None:
            return
        part, here = part_zyx[occupied], composed(box, occupied)
        beyond = not_scanned(part, self.volume.hu_zyx, here)
        if beyond is not None:
            part = np.where(beyond, np.uint8(0), part)
        levels = level_table(run.stage)[part]
        self.predicted[here], self.labels[here] = part, levels
        self.auxiliary[here] = (part != 0) & (levels == 0)
        if self.sacrum is not None:
            self.sacrum[here] = np.isin(part, run.stage.sacrum_labels)
        if not is_first:
            self.changed = _changed_share(before[here], levels)

    def inference(self, record: Record) -> Inference:
        """Return the result."""
        voxel_mm3 = self.volume.grid.voxel_mm3
        return Inference(
            labels=LabelVolume(self.labels, self.volume.affine_lps, self.package.identity),
            auxiliary_zyx=self.auxiliary,
            removed_mm3={int(i): float(self.removed[i] * voxel_mm3) for i in np.flatnonzero(self.removed)},
            record=record,
            levels=self.package.levels,
            sacrum_zyx=self.sacrum,
            changed_share=self.changed,
            probabilities=self.probabilities,
        )


def _changed_share(before_zyx: LabelArray, after_zyx: LabelArray) -> dict[int, float]:
    """Return the share of each level's voxels that carried another level before, of those with a level in both."""
    both = (before_zyx != 0) & (after_zyx != 0)
    total = np.bincount(after_zyx[both], minlength=256)
    changed = np.bincount(after_zyx[both & (before_zyx != after_zyx)], minlength=256)
    return {int(label): float(changed[label] / total[label]) for label in np.flatnonzero(total)}


def box_around(labels_zyx: LabelArray, volume: CtVolume, margin_mm: float) -> Box | None:
    """Return the bounding box of the labels with a margin, or None if there are no labels.

    Parameters
    ----------
    labels_zyx : ndarray of uint8, shape (z, y, x)
        Labels on the volume's grid.
    volume : CtVolume
        Volume, for its spacing.
    margin_mm : float
        Margin of the box, within the volume.
    """
    return occupied_box(labels_zyx, margin_zyx(margin_mm, volume.grid))


def _no_progress(done: int, total: int) -> None:
    """Ignore progress."""
