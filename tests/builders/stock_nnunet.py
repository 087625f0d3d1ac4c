"""nnunetv2's own predictor, to be compared with; and volumes that give it something to see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.inference import predict_from_raw_data
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from scipy.ndimage import gaussian_filter

from cspine.core.volumes import CtVolume


def lively_volume(
    shape_zyx: tuple[int, int, int] = (30, 52, 44),
    spacing_zyx: tuple[float, float, float] = (2.5, 1.1, 1.1),
    zero_border: int = 0,
    seed: int = 0,
) -> CtVolume:
    """Smooth noise between air and bone, in LPS; with a border of zeros where asked."""
    rng = np.random.default_rng(seed)
    noise = gaussian_filter(rng.standard_normal(shape_zyx), 2.0) * 12 + gaussian_filter(
        rng.standard_normal(shape_zyx), 0.8
    )
    hu = np.clip(noise * 350 + 100, -1000, 2500).astype(np.int16)
    hu[hu == 0] = 1
    if zero_border:
        inner = tuple(slice(zero_border + axis, -zero_border) for axis in range(3))
        bordered = np.zeros_like(hu)
        bordered[inner] = hu[inner]
        hu = bordered
    affine = np.diag([spacing_zyx[2], spacing_zyx[1], spacing_zyx[0], 1.0])
    affine[:3, 3] = -20, 30, 400
    return CtVolume(hu, affine)


def stock_predictor(results: Path, folds: tuple[str, ...], step_size: float, mirror: bool) -> nnUNetPredictor:
    """nnU-Net's predictor on the CPU."""
    predictor = nnUNetPredictor(
        tile_step_size=step_size, use_mirroring=mirror, device=torch.device("cpu"), allow_tqdm=False
    )
    predictor.initialize_from_trained_model_folder(str(results), folds)
    return predictor


def stock_labels(predictor: nnUNetPredictor, volume: CtVolume, previous: np.ndarray | None = None) -> np.ndarray:
    """Labels of nnU-Net's predictor for a volume in the network's orientation; ``previous`` for a cascade."""
    spacing = [float(s) for s in reversed(volume.grid.spacing_xyz)]
    image = volume.hu_zyx.astype(np.float32)[None]
    return np.asarray(
        predictor.predict_single_npy_array(
            image, {"spacing": spacing}, None if previous is None else previous[None].astype(np.int16)
        )
    )


@contextmanager
def accumulating_in_float32() -> Iterator[None]:
    """Let nnU-Net's predictor accumulate logits in float32; nothing else of it changes."""

    class Torch:
        half = torch.float32

        def __getattr__(self, name: str) -> Any:
            return getattr(torch, name)

    predict_from_raw_data.torch = Torch()
    try:
        yield
    finally:
        predict_from_raw_data.torch = torch
