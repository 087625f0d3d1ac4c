"""A recipe that trains in seconds, and a pool that is full already."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cspine.core.volumes import CtVolume, LabelVolume
from cspine.study.synthesis.atlas import Atlas
from cspine.study.synthesis.case import CaseSettings, synthesize_case
from cspine.study.synthetic_training.recipe import Network, Recipe

#: The case of this seed and the one after it are small, so that they are made fast.
FIRST_SEED = 373
_POOL = 4


def tiny_recipe(**changes: object) -> Recipe:
    """A network of three stages on patches of 24 x 16 x 16 voxels, three iterations."""
    fields: dict[str, object] = {
        "name": "tiny",
        "version": "0.0.1",
        "title": "A tiny model",
        "description": "Trained by a test.",
        "network": Network(features_per_stage=(4, 8, 8), patch_size=(24, 16, 16), spacing=(3.0, 3.0, 3.0)),
        "iterations": 3,
        "batch_size": 2,
        "warm_up": 1,
        "ema_decay": 0.5,
        "pool": _POOL,
        "first_seed": FIRST_SEED,
    }
    return Recipe.model_validate(fields | changes)


def write_case(path: Path, ct: CtVolume, labels: LabelVolume) -> None:
    """Put a case into a pool."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.stack([ct.hu_zyx.astype(np.int16), labels.labels_zyx.astype(np.int16)]))


def fill_pool(folder: Path, atlas: Atlas, spacing_mm: float = 3.0) -> None:
    """Fill a pool with small cases; a generator that finds it has its seeds behind it."""
    settings = CaseSettings((spacing_mm,) * 3, (60.0, 60.0, 110.0), complete_neck=True, internal_mm=2.0)
    for number in range(_POOL):
        write_case(folder / f"case-{number:05d}.npy", *synthesize_case(atlas, number, settings))
    (folder / "next-seed.txt").write_text(str(FIRST_SEED + _POOL), encoding="ascii")
