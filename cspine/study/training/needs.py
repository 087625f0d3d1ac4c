"""The needs of a training in GPU hours, GPU memory and disk: estimates, reported before the work begins.

Hours and GPU memory are nnU-Net's own figures for its plans on an NVIDIA A100 with 40 GB (its documentation,
resenc_presets.md: one fold of 1000 epochs), in proportion to the iterations. Disk: each voxel of the network's
grid takes a float32 value and a label, which Blosc2 packs to about `_PACKED` of that for CT.
"""

from __future__ import annotations

import shutil
from math import prod
from pathlib import Path
from statistics import median

from cspine.io.tables import counted
from cspine.study.training.cases import TrainingCases
from cspine.study.training.settings import TrainingSettings

#: Hours a fold, and GB of GPU memory, by plans.
_ON_A100 = {"default": (9, 8), "resenc-m": (12, 9), "resenc-l": (35, 23), "resenc-xl": (66, 37)}
_STOCK_HOURS = _ON_A100["default"][0]
_ITERATIONS = 1000 * 250
_BYTES_A_VOXEL = 5
_PACKED = 0.6
#: Weights and momentum of nnU-Net's largest 3D network of each kind, latest, best and final checkpoint.
_CHECKPOINTS_GB = {"default": 0.75, "resenc-m": 2.5, "resenc-l": 2.5, "resenc-xl": 2.5}


def needs(cases: TrainingCases, settings: TrainingSettings, run: Path) -> list[str]:
    """Return the lines that report what a training needs.

    Parameters
    ----------
    cases : TrainingCases
        The training cases.
    settings : TrainingSettings
        How.
    run : Path
        Folder of the run, for the free space of its disk.
    """
    folds = sum(len(cases.folds_of(settings.stages, stage)) for stage in settings.stages)
    hours, memory = _ON_A100[settings.plans]
    share = (settings.epochs or 1000) * (settings.iterations or 250) / _ITERATIONS
    lines = [
        f"{counted(len(cases.rows), 'training case')}, {counted(folds, 'fold')} to train.",
        f"The paper's study trains 5 folds of 1000 epochs for each of two models: about {10 * _STOCK_HOURS} GPU hours "
        f"(estimate: {_STOCK_HOURS} h per fold on an NVIDIA A100, nnU-Net's documentation; a workstation GPU takes two "
        "to three times as long).",
    ]
    changes = settings.changes
    if changes.patch_size is None and changes.features is None and changes.gpu_memory_gb is None:
        lines.append(
            f"This training: about {hours * share * folds:.3g} GPU hours and {memory} GB of GPU memory by the same "
            "estimate; on a CPU some hundred times as long."
        )
    free = shutil.disk_usage(_existing(run)).free / 1e9
    wanted = preprocessed_gb(cases, settings) + folds * _CHECKPOINTS_GB[settings.plans]
    lines.append(
        f"Disk: about {preprocessed_gb(cases, settings):.2g} GB of preprocessed images and up to "
        f"{folds * _CHECKPOINTS_GB[settings.plans]:.2g} GB of checkpoints (estimate); {free:.0f} GB free."
    )
    if wanted > free:
        lines.append("warning: the disk may become full; the same command resumes when there is space")
    return lines


def preprocessed_gb(cases: TrainingCases, settings: TrainingSettings) -> float:
    """Return about how many GB the preprocessed cases take, at the spacing that nnU-Net usually plans: the median."""
    steps = settings.changes.spacing_mm or [median(row.spacing_mm[axis] for row in cases.rows) for axis in range(3)]
    voxels = sum(
        prod(n * step for n, step in zip(row.shape, row.spacing_mm, strict=True)) / prod(steps) for row in cases.rows
    )
    return voxels * _BYTES_A_VOXEL * _PACKED / 1e9


def _existing(path: Path) -> Path:
    return next(place for place in (path, *path.absolute().parents) if place.exists())
