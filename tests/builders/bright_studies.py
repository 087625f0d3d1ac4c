"""Studies that take no time: a bright block in a neck of water, and a real network that calls what is bright C2."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cspine.core.geometry import make_affine
from cspine.core.volumes import CtVolume
from cspine.dicom.write_ct import CtSeriesDescription, write_ct_series
from tests.builders.nnunet_results import TinyModel

_C2 = 2


@dataclass(frozen=True)
class BrightModel(TinyModel):
    """A U-Net whose first convolution leads directly to its last one: C2 where the image is bright, else background."""

    def weights(self, fold: str) -> dict[str, torch.Tensor]:
        state = {name: torch.zeros_like(value) for name, value in super().weights(fold).items()}
        for name, value in state.items():
            if ".norm.weight" in name or ".all_modules.1.weight" in name:
                value.fill_(1.0)
        for name, value in state.items():
            centre = (slice(None), slice(None), *(size // 2 for size in value.shape[2:]))
            if "encoder.stages.0" in name and name.endswith(".weight") and value.ndim > 2:
                value[(0, 0, *centre[2:])] = 1.0
            last = name.startswith("decoder.stages.1") and name.endswith(".weight") and value.ndim > 2
            if last:  # the channels of the skip stand behind those that come from below
                value[(0, value.shape[1] // 2, *centre[2:])] = 1.0
            if name == "decoder.seg_layers.1.weight":
                value[_C2, 0] = 1.0
            if name == "decoder.seg_layers.1.bias":
                value[0] = 1.0
        return state


def write_bright_study(folder: Path, seed: str, *, bright: bool = True) -> list[Path]:
    """Write a series of 64 slices of 40 x 40 voxels; without its block it has no vertebra."""
    hu_zyx = np.full((64, 40, 40), -1000, dtype=np.int16)
    hu_zyx[:, 4:36, 4:36] = 20
    if bright:
        hu_zyx[28:38, 12:28, 12:30] = 700
    affine = make_affine(np.eye(3), (2.0, 2.0, 2.0), np.zeros(3))
    description = CtSeriesDescription(
        uid_seed=seed,
        patient_name="SECRET^Surname",
        patient_id=f"PRIVATE-{seed}",
        transfer_syntax="1.2.840.10008.1.2.1",
    )
    return write_ct_series(CtVolume(hu_zyx, affine), folder, description)
