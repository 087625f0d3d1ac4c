"""One stage of a model: from the Hounsfield units of a box to the labels of its network on the same grid."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import numpy as np
from numpy.typing import NDArray

from cspine.core.anatomy import vertebra
from cspine.core.errors import OutOfMemoryError, UsageError
from cspine.core.geometry import reorientation
from cspine.core.progress import ProgressCallback
from cspine.core.shape import Box
from cspine.core.volumes import CtVolume, HuArray, LabelArray, Record
from cspine.inference.engines.base import Engine
from cspine.inference.engines.choose import choose_engine
from cspine.inference.engines.failures import translated_errors
from cspine.inference.preprocess import NetworkImage, preprocess, preprocess_previous
from cspine.inference.probability import OTHER, FieldCollector, ProbabilityField
from cspine.inference.restore import restore, restore_slabs, slab_matrices
from cspine.inference.settings import InferenceSettings
from cspine.inference.sliding_window import Window, logits_slabs, predict_logits
from cspine.models.manifest import AUXILIARY
from cspine.models.package import Stage

_log = logging.getLogger(__name__)

#: Larger logits are processed slab by slab. It is a constant, so that labels do not depend on the machine.
MAX_LOGITS_BYTES = 2 * 2**30


@dataclass(frozen=True, eq=False)
class StageResult:
    """What a stage predicts.

    Parameters
    ----------
    labels_zyx : ndarray of uint8, shape (z, y, x)
        Network labels, a view in the order of the volume.
    record : dict
        Name, folds, mirroring, grid, seconds.
    probabilities : ProbabilityField or None
        Probabilities on the network's grid, if the run keeps them.
    """

    labels_zyx: LabelArray
    record: Record
    probabilities: ProbabilityField | None


@dataclass(frozen=True)
class StageRun:
    """How a stage runs.

    Parameters
    ----------
    stage : Stage
        The stage.
    settings : InferenceSettings
        Folds, mirroring, step size.
    engine : Engine
        Runs the network.
    progress : callable
        Called with the finished tiles and all tiles.
    keeps_probabilities : bool
        True for the stage whose labels are the result.
    """

    stage: Stage
    settings: InferenceSettings
    engine: Engine
    progress: ProgressCallback
    keeps_probabilities: bool = False

    @property
    def window(self) -> Window:
        """The sliding window."""
        mirror_axes = self.stage.manifest.mirror_axes if self.settings.mirror else ()
        return Window(self.stage.plan.patch_size, self.settings.step_size, mirror_axes)


def run_stage(volume: CtVolume, previous_zyx: LabelArray | None, run: StageRun, view: Box | None = None) -> StageResult:
    """Predict the network labels of a volume on its grid.

    Parameters
    ----------
    volume : CtVolume
        The part of the image that the stage sees, in any orientation.
    previous_zyx : ndarray of uint8, shape (z, y, x), or None
        For the second stage of a cascade: network labels of the first.
    run : StageRun
        Stage, settings, engine.
    view : tuple of slice, optional
        The box of the volume that is segmented, on the network's grid of the volume; all of it if omitted.

    Returns
    -------
    StageResult

    Raises
    ------
    OutOfMemoryError, InferenceError
        If the network fails.
    """
    stage = run.stage
    to_network = reorientation(volume.affine_lps, stage.manifest.orientation)
    x, y, z = to_network.grid(volume.grid).spacing_xyz
    times = [time.perf_counter()]
    with translated_errors():
        seen = None if view is None else to_network.box(view, volume.grid.shape_zyx)
        image = preprocess(cast(HuArray, to_network.apply(volume.hu_zyx)), (z, y, x), stage.plan, seen, run.window)
        channels = image.values[None]
        if previous_zyx is not None:
            masks = preprocess_previous(cast(LabelArray, to_network.apply(previous_zyx)), image, stage.plan)
            channels = np.concatenate([channels, masks])
        times.append(time.perf_counter())
        networked = _labels(channels, image, run)
    labels = to_network.undo(networked.labels)
    times += [networked.finished, time.perf_counter()]
    seconds = dict(zip(("preprocess", "network", "restore"), np.diff(times).round(3).tolist(), strict=True))
    _log.info("stage %s: %s", stage.manifest.name, ", ".join(f"{what} {s:.1f} s" for what, s in seconds.items()))
    record: Record = {
        "name": stage.manifest.name,
        "folds": list(folds_of(stage, run.settings)),
        "mirror_axes": list(run.window.mirror_axes),
        "network_grid": {"shape": list(image.values.shape), "spacing_mm": list(image.network_spacing_mm)},
        "seconds": seconds,
    }
    oriented, (first, second, third) = to_network.grid(volume.grid), stage.plan.transpose_forward
    kept = networked.collector
    field = kept.field(image, (first, second, third), oriented) if kept is not None else None
    return StageResult(labels, record, field)


@dataclass(frozen=True, eq=False)
class _Networked:
    """Network labels on the grid of the image, when the network had finished, and probabilities if they are kept."""

    labels: LabelArray
    finished: float
    collector: FieldCollector | None


def _labels(channels: NDArray[np.float32], image: NetworkImage, run: StageRun) -> _Networked:
    """Return the network labels on the grid of the image.

    If memory runs out, logits are processed slab by slab, and at last on the CPU; labels are the same.
    """
    on_cpu = run.engine.device == "cpu"
    slabs = _needs_slabs(image, run)
    attempts = [(run, slabs)] + ([] if slabs else [(run, True)])
    for attempt, by_slabs in attempts:
        labels = _attempt(channels, image, attempt, by_slabs=by_slabs)
        if labels is not None:
            return labels
        attempt.engine.release()
        _log.warning("memory ran out on %s, so the stage is run again with less", attempt.engine.device)
    if on_cpu:
        raise OutOfMemoryError("out of memory, although logits were processed slab by slab")
    cpu = choose_engine("cpu", "float32", "auto", (run.stage,))
    return _run_network(channels, image, replace(run, engine=cpu), by_slabs=True)


def _attempt(channels: NDArray[np.float32], image: NetworkImage, run: StageRun, *, by_slabs: bool) -> _Networked | None:
    """Return the labels, or None if memory ran out: the arrays that its error refers to are released."""
    try:
        return _run_network(channels, image, run, by_slabs=by_slabs)
    except OutOfMemoryError as error:
        _log.info("%s", error.message)
        return None


def _needs_slabs(image: NetworkImage, run: StageRun) -> bool:
    return 4 * (len(run.stage.manifest.labels) + 1) * image.values.size > MAX_LOGITS_BYTES


def _run_network(channels: NDArray[np.float32], image: NetworkImage, run: StageRun, *, by_slabs: bool) -> _Networked:
    stage, plan = run.stage, run.stage.plan
    folds = [partial(run.engine.network, stage, fold) for fold in folds_of(stage, run.settings)]
    window = run.window if image.part is None else replace(run.window, tiles=image.part.tiles)
    matrices = slab_matrices(image, plan) if by_slabs else None
    collector = FieldCollector(_field_table(stage)) if run.keeps_probabilities else None
    if matrices is not None:
        slabs = logits_slabs(folds, channels, window, run.engine, run.progress)
        seen = slabs if collector is None else collector.passing(slabs)
        restored = restore_slabs(seen, image, matrices).transpose(plan.transpose_backward)
        return _Networked(restored, time.perf_counter(), collector)
    logits = predict_logits(folds, channels, window, run.engine, run.progress)
    networked = time.perf_counter()
    if collector is not None:
        collector.add(logits)
    return _Networked(restore(logits, image, plan), networked, collector)


def _field_table(stage: Stage) -> NDArray[np.uint8]:
    """Return the label of each network label in a field of probabilities."""
    table = level_table(stage)
    table[1:][table[1:] == 0] = OTHER
    return table


def folds_of(stage: Stage, settings: InferenceSettings) -> tuple[str, ...]:
    """Return the folds of a stage that are used.

    Parameters
    ----------
    stage : Stage
        The stage.
    settings : InferenceSettings
        Settings with the wanted folds; all of the stage if they name none.

    Raises
    ------
    UsageError
        If a requested fold does not exist.
    """
    available = stage.manifest.folds
    if settings.folds is None:
        return available
    missing = [fold for fold in settings.folds if fold not in available]
    if missing:
        raise UsageError(f"stage {stage.manifest.name} has folds {', '.join(available)}, but not {', '.join(missing)}")
    return settings.folds


def level_table(stage: Stage) -> NDArray[np.uint8]:
    """Return the label of `cspine.core.anatomy` for each network label; 0 for auxiliary classes.

    Parameters
    ----------
    stage : Stage
        The stage, whose manifest gives its network labels their meaning.

    Returns
    -------
    ndarray of uint8, shape (classes,)
        Label by network label; 0 for background too.
    """
    table = np.zeros(len(stage.manifest.labels) + 1, dtype=np.uint8)
    for label, name in stage.manifest.labels.items():
        if name != AUXILIARY:
            table[label] = vertebra(name).label
    return table
