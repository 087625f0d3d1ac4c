"""A CT volume in, vertebrae out: the stages of a model package, one after another, in this process."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from cspine.core.anatomy import CERVICAL_LEVELS, Vertebra, vertebra
from cspine.core.errors import UsageError
from cspine.core.geometry import reorientation, to_lps
from cspine.core.progress import ProgressCallback
from cspine.core.shape import margin_zyx, occupied_box
from cspine.core.volumes import CtVolume, HuArray, LabelArray, LabelVolume, Record
from cspine.inference.body import body_box
from cspine.inference.engine import Engine, choose_engine, translated_errors
from cspine.inference.preprocess import Box, preprocess, preprocess_previous
from cspine.inference.restore import restore, restore_slabs, slab_matrices
from cspine.inference.settings import InferenceSettings
from cspine.inference.sliding_window import Window, logits_slabs, predict_logits
from cspine.models.manifest import AUXILIARY
from cspine.models.network import build_network
from cspine.models.package import ModelPackage, Stage

_log = logging.getLogger(__name__)

#: Logits that take more than this are worked on slab by slab. A constant: the machine must not decide about labels.
MAX_LOGITS_BYTES = 2 * 2**30


@dataclass(frozen=True, kw_only=True)
class Inference:
    """What a model made of a volume.

    Parameters
    ----------
    labels : LabelVolume
        On the grid of the volume.
    auxiliary_zyx : ndarray of bool, shape (z, y, x)
        Where a network saw one of its auxiliary classes (say, vertebrae that have no label of their own): the last
        stage within its box, the one before around it.
    removed_mm3 : dict of int to float
        Volume that was removed between the stages, by label.
    record : dict
        Settings that count, stages with their grids and folds, seconds.
    levels : tuple of Vertebra
        What the model can draw, from head to foot.
    sacrum_zyx : ndarray of bool, shape (z, y, x), or None
        Where the network saw the sacrum; None where none of its auxiliary classes is the sacrum.
    """

    labels: LabelVolume
    auxiliary_zyx: NDArray[np.bool_]
    removed_mm3: dict[int, float] = field(default_factory=dict)
    record: Record
    levels: tuple[Vertebra, ...] = CERVICAL_LEVELS
    sacrum_zyx: NDArray[np.bool_] | None = None


def segment(
    volume: CtVolume,
    package: ModelPackage,
    settings: InferenceSettings | None = None,
    progress: ProgressCallback | None = None,
    between: Callable[[LabelVolume], LabelVolume] | None = None,
) -> Inference:
    """Draw the vertebrae of a CT volume with a model package.

    The first stage sees the whole volume, or the box of the patient where its manifest says so. Each further one sees
    the box around the vertebrae found so far with its margin, and its labels replace those in the box; the second
    stage of a cascade is also given the labels of the one before.

    Parameters
    ----------
    volume : CtVolume
        In any orientation; it is turned to each stage's, and labels are turned back.
    package : ModelPackage
        From `models.package.load_package`.
    settings : InferenceSettings, optional
        Device, folds, mirroring, step size, precision.
    progress : callable, optional
        Called with the tiles done and all tiles of a stage.
    between : callable, optional
        Cleans the labels of a stage before the next one sees them; it may remove voxels.

    Returns
    -------
    Inference

    Raises
    ------
    DeviceError
        If the device asked for is not there.
    UsageError
        If a fold asked for is not in the package.
    OutOfMemoryError, InferenceError
        If the network cannot be run.
    """
    settings = settings or InferenceSettings()
    report = progress or _no_progress
    began = time.perf_counter()
    engine = choose_engine(settings.device, settings.precision)
    for stage in package.stages:
        folds_of(stage, settings)
    drawn = np.zeros(volume.hu_zyx.shape, dtype=np.uint8)  # in the network's labels
    labels = drawn
    auxiliary = np.zeros(drawn.shape, dtype=np.bool_)
    sacrum = np.zeros(drawn.shape, dtype=np.bool_) if package.stages[-1].sacrum_labels else None
    removed = np.zeros(256, dtype=np.int64)
    stages: list[Record] = []
    for number, stage in enumerate(package.stages):
        if number > 0 and between is not None:
            cleaned = between(LabelVolume(labels, volume.affine_lps, package.identity)).labels_zyx
            gone = (labels != 0) & (cleaned == 0)
            removed += np.bincount(labels[gone], minlength=256)
            drawn[gone] = 0
            labels = cleaned
        box = _first_box(volume, stage) if number == 0 else box_around(labels, volume, stage.manifest.margin_mm)
        if box is None:
            _log.info("stage %s: nothing to look at", stage.manifest.name)
            break
        previous = drawn[box] if stage.plan.is_cascade else None
        with translated_errors():
            part, record = _run_stage(_cropped(volume, box), previous, stage, settings, engine, report)
        drawn, labels = np.zeros_like(drawn), np.zeros_like(drawn)
        drawn[box], labels[box] = part, level_table(stage)[part]
        auxiliary[box] = (part != 0) & (labels[box] == 0)
        if sacrum is not None:
            sacrum[box] = np.isin(part, stage.sacrum_labels)
        stages.append({**record, "box_zyx": [[part.start, part.stop] for part in box]})
    record = {
        "device": engine.name,
        "precision": engine.precision,
        "step_size": settings.step_size,
        "stages": stages,
        "seconds": round(time.perf_counter() - began, 3),
    }
    return Inference(
        labels=LabelVolume(labels, volume.affine_lps, package.identity),
        auxiliary_zyx=auxiliary,
        removed_mm3={int(i): float(removed[i] * volume.grid.voxel_mm3) for i in np.flatnonzero(removed)},
        record=record,
        levels=package.levels,
        sacrum_zyx=sacrum,
    )


def folds_of(stage: Stage, settings: InferenceSettings) -> tuple[str, ...]:
    """Return the folds of a stage that run.

    Raises
    ------
    UsageError
        If one that was asked for is not there.
    """
    there = stage.manifest.folds
    if settings.folds is None:
        return there
    missing = [fold for fold in settings.folds if fold not in there]
    if missing:
        raise UsageError(f"stage {stage.manifest.name} has folds {', '.join(there)}, not {', '.join(missing)}")
    return settings.folds


def box_around(labels_zyx: LabelArray, volume: CtVolume, margin_mm: float) -> Box | None:
    """Return the box of the voxels that are not background, grown on all sides; None where there are none.

    Parameters
    ----------
    labels_zyx : ndarray of uint8, shape (z, y, x)
        Labels on the volume's grid.
    volume : CtVolume
        For its spacing.
    margin_mm : float
        How far the box grows, within the volume.
    """
    return occupied_box(labels_zyx, margin_zyx(margin_mm, volume.grid))


def level_table(stage: Stage) -> NDArray[np.uint8]:
    """Return the label of `cspine.core.anatomy` for each network label; auxiliary classes become background."""
    table = np.zeros(len(stage.manifest.labels) + 1, dtype=np.uint8)
    for label, name in stage.manifest.labels.items():
        if name != AUXILIARY:
            table[label] = vertebra(name).label
    return table


def _run_stage(
    volume: CtVolume,
    previous_zyx: LabelArray | None,
    stage: Stage,
    settings: InferenceSettings,
    engine: Engine,
    progress: ProgressCallback,
) -> tuple[LabelArray, Record]:
    """Network labels of a volume on its grid, and what to tell of the stage."""
    plan, folds = stage.plan, folds_of(stage, settings)
    mirror_axes = stage.manifest.mirror_axes if settings.mirror else ()
    window = Window(plan.patch_size, settings.step_size, mirror_axes)
    turn = reorientation(volume.affine_lps, stage.manifest.orientation)
    x, y, z = turn.grid(volume.grid).spacing_xyz

    times = [time.perf_counter()]
    image = preprocess(cast(HuArray, turn.apply(volume.hu_zyx)), (z, y, x), plan)
    channels = image.values[None]
    if previous_zyx is not None:
        masks = preprocess_previous(cast(LabelArray, turn.apply(previous_zyx)), image, plan)
        channels = torch.cat([channels, masks])
    times.append(time.perf_counter())
    network = build_network(plan.architecture)
    weights = [partial(stage.weights, fold) for fold in folds]
    matrices = None
    if 4 * (len(stage.manifest.labels) + 1) * image.values.numel() > MAX_LOGITS_BYTES:
        matrices = slab_matrices(image, plan)
    if matrices is not None:
        slabs = logits_slabs(network, weights, channels, window, engine, progress)
        restored = restore_slabs(slabs, image, matrices).transpose(plan.transpose_backward)
        times.append(time.perf_counter())
    else:
        logits = predict_logits(network, weights, channels, window, engine, progress)
        times.append(time.perf_counter())
        restored = restore(logits, image, plan)
    labels = np.ascontiguousarray(turn.undo(restored))
    times.append(time.perf_counter())

    seconds = dict(zip(("preprocess", "network", "restore"), np.diff(times).round(3).tolist(), strict=True))
    _log.info("stage %s: %s", stage.manifest.name, ", ".join(f"{what} {s:.1f} s" for what, s in seconds.items()))
    record: Record = {
        "name": stage.manifest.name,
        "folds": list(folds),
        "mirror_axes": list(mirror_axes),
        "network_grid": {"shape": list(image.values.shape), "spacing_mm": list(image.network_spacing_mm)},
        "seconds": seconds,
    }
    return labels, record


def _first_box(volume: CtVolume, stage: Stage) -> Box:
    if stage.manifest.field_of_view == "body":
        return body_box(volume)
    z, y, x = volume.hu_zyx.shape
    return slice(0, z), slice(0, y), slice(0, x)


def _cropped(volume: CtVolume, box: Box) -> CtVolume:
    """Return the part of the volume within the box, on the same voxels."""
    first_xyz = np.array([[part.start for part in reversed(box)]], dtype=np.float64)
    affine = volume.affine_lps.copy()
    affine[:3, 3] = to_lps(volume.affine_lps, first_xyz)[0]
    return CtVolume(volume.hu_zyx[box], affine)


def _no_progress(done: int, whole: int) -> None:
    """Report nothing."""
