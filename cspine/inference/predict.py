"""Predict the vertebrae of a CT volume with the stages of a model package."""

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

#: Larger logits are processed slab by slab. It is a constant, so that labels do not depend on the machine.
MAX_LOGITS_BYTES = 2 * 2**30


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
    """

    labels: LabelVolume
    auxiliary_zyx: NDArray[np.bool_]
    removed_mm3: dict[int, float] = field(default_factory=dict)
    record: Record
    levels: tuple[Vertebra, ...] = CERVICAL_LEVELS
    sacrum_zyx: NDArray[np.bool_] | None = None
    changed_share: dict[int, float] = field(default_factory=dict)


def segment(
    volume: CtVolume,
    package: ModelPackage,
    settings: InferenceSettings | None = None,
    progress: ProgressCallback | None = None,
    between: Callable[[LabelVolume], LabelVolume] | None = None,
) -> Inference:
    """Return the vertebrae that a model package predicts for a CT volume.

    The first stage takes the whole volume, or the box of the patient if its manifest says so. Each further stage takes
    the box around the vertebrae predicted so far with its margin, and its labels replace those in the box; the second
    stage of a cascade also takes the labels of the first.

    Parameters
    ----------
    volume : CtVolume
        CT in any orientation; it is reoriented for each stage, and labels are reoriented back.
    package : ModelPackage
        Package from `models.package.load_package`.
    settings : InferenceSettings, optional
        Device, folds, mirroring, step size, precision.
    progress : callable, optional
        Called with the finished tiles and all tiles of a stage.
    between : callable, optional
        Cleans the labels of a stage for the next one; it may only remove voxels.

    Returns
    -------
    Inference

    Raises
    ------
    DeviceError
        If the device is not available.
    UsageError
        If a fold is not in the package.
    OutOfMemoryError, InferenceError
        If the network fails.
    """
    settings = settings or InferenceSettings()
    on_progress = progress or _no_progress
    began = time.perf_counter()
    engine = choose_engine(settings.device, settings.precision)
    for stage in package.stages:
        folds_of(stage, settings)
    predicted = np.zeros(volume.hu_zyx.shape, dtype=np.uint8)  # in the labels of the network
    labels = predicted
    auxiliary = np.zeros(predicted.shape, dtype=np.bool_)
    sacrum = np.zeros(predicted.shape, dtype=np.bool_) if package.stages[-1].sacrum_labels else None
    removed = np.zeros(256, dtype=np.int64)
    stages: list[Record] = []
    changed: dict[int, float] = {}
    for number, stage in enumerate(package.stages):
        if number > 0 and between is not None:
            cleaned = between(LabelVolume(labels, volume.affine_lps, package.identity)).labels_zyx
            dropped = (labels != 0) & (cleaned == 0)
            removed += np.bincount(labels[dropped], minlength=256)
            predicted[dropped] = 0
            labels = cleaned
        box = _first_box(volume, stage) if number == 0 else box_around(labels, volume, stage.manifest.margin_mm)
        if box is None:
            _log.info("stage %s skipped: no vertebra was predicted before", stage.manifest.name)
            break
        previous = predicted[box] if stage.plan.is_cascade else None
        with translated_errors():
            part, record = _run_stage(_cropped(volume, box), previous, stage, settings, engine, on_progress)
        before = labels[box]
        predicted, labels = np.zeros_like(predicted), np.zeros_like(predicted)
        predicted[box], labels[box] = part, level_table(stage)[part]
        if number > 0:
            changed = _changed_share(before, labels[box])
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
        changed_share=changed,
    )


def _changed_share(before_zyx: LabelArray, after_zyx: LabelArray) -> dict[int, float]:
    """Return the share of each level's voxels that carried another level before, of those with a level in both."""
    both = (before_zyx != 0) & (after_zyx != 0)
    total = np.bincount(after_zyx[both], minlength=256)
    changed = np.bincount(after_zyx[both & (before_zyx != after_zyx)], minlength=256)
    return {int(label): float(changed[label] / total[label]) for label in np.flatnonzero(total)}


def folds_of(stage: Stage, settings: InferenceSettings) -> tuple[str, ...]:
    """Return the folds of a stage that are used.

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


def level_table(stage: Stage) -> NDArray[np.uint8]:
    """Return the label of `cspine.core.anatomy` for each network label; 0 for auxiliary classes."""
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
    """Return the network labels of a volume on its grid, and the record of the stage."""
    plan, folds = stage.plan, folds_of(stage, settings)
    mirror_axes = stage.manifest.mirror_axes if settings.mirror else ()
    window = Window(plan.patch_size, settings.step_size, mirror_axes)
    to_network = reorientation(volume.affine_lps, stage.manifest.orientation)
    x, y, z = to_network.grid(volume.grid).spacing_xyz

    times = [time.perf_counter()]
    image = preprocess(cast(HuArray, to_network.apply(volume.hu_zyx)), (z, y, x), plan)
    channels = image.values[None]
    if previous_zyx is not None:
        masks = preprocess_previous(cast(LabelArray, to_network.apply(previous_zyx)), image, plan)
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
    labels = np.ascontiguousarray(to_network.undo(restored))
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
    """Return the part of the volume within the box."""
    first_xyz = np.array([[part.start for part in reversed(box)]], dtype=np.float64)
    affine = volume.affine_lps.copy()
    affine[:3, 3] = to_lps(volume.affine_lps, first_xyz)[0]
    return CtVolume(volume.hu_zyx[box], affine)


def _no_progress(done: int, total: int) -> None:
    """Ignore progress."""
