"""Findings about the image around the vertebrae: metal, noise, low contrast, large voxels, motion, ribs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cspine.core.findings import COARSE_VOXELS, LOW_CONTRAST, METAL, NOISE, Finding
from cspine.core.norms import (
    MAX_NOISE_HU,
    MAX_VOXEL_MM,
    MIN_BONE_CONTRAST_HU,
    MIN_METAL_HU,
    MIN_METAL_MM3,
    MUSCLE_HU,
)
from cspine.core.shape import any_by_block, margin_zyx, occupied_box
from cspine.core.volumes import CtVolume, HuArray, LabelVolume
from cspine.postprocessing.motion import motion_findings
from cspine.postprocessing.ribs import rib_findings

#: Surroundings of the vertebrae that are looked at: their muscles, without the shoulders.
_MARGIN_MM = 15.0
#: Metal within this distance belongs to the spine: teeth and their fillings lie further in front.
_METAL_REACH_MM = 5.0
#: Fewer voxels say nothing about noise.
_MIN_VOXELS = 500
#: Of a larger neighbourhood every so many slices show the muscles: medians need no more.
_SAMPLED_VOXELS = 8_000_000


def image_findings(ct: CtVolume, labels: LabelVolume) -> tuple[Finding, ...]:
    """Return findings about the image within some centimetres of the vertebrae.

    Parameters
    ----------
    ct : CtVolume
        The image.
    labels : LabelVolume
        The vertebrae on the grid of the image.

    Returns
    -------
    tuple of Finding
        Empty if there are no vertebrae.
    """
    box = occupied_box(labels.labels_zyx, margin_zyx(_MARGIN_MM, ct.grid))
    if box is None:
        return ()
    hu, bone = ct.hu_zyx[box], labels.labels_zyx[box] != 0
    some = slice(None, None, max(1, hu.size // _SAMPLED_VOXELS))
    sampled = hu[some]
    muscle = (sampled >= MUSCLE_HU[0]) & (sampled <= MUSCLE_HU[1]) & ~bone[some]
    findings = [*_coarse_voxels(ct), *_metal(hu, bone, ct), *_noise(sampled, muscle)]
    if muscle.sum() >= _MIN_VOXELS:
        contrast = float(hu[bone].mean(dtype=np.float64) - np.median(sampled[muscle]))
        if contrast < MIN_BONE_CONTRAST_HU:
            sentence = f"The vertebrae are only {contrast:.0f} HU denser than the muscles; borders are uncertain."
            findings.append(LOW_CONTRAST.about(sentence))
    return (*findings, *motion_findings(ct, labels), *rib_findings(ct, labels))


def _coarse_voxels(ct: CtVolume) -> list[Finding]:
    largest = max(ct.grid.spacing_xyz)
    if largest <= MAX_VOXEL_MM:
        return []
    size = " x ".join(f"{step:.1f}" for step in ct.grid.spacing_xyz)
    return [COARSE_VOXELS.about(f"With voxels of {size} mm, thin parts and joint spaces are not resolved.")]


def _metal(hu_zyx: HuArray, bone_zyx: NDArray[np.bool_], ct: CtVolume) -> list[Finding]:
    dense = hu_zyx >= MIN_METAL_HU
    if dense.sum() * ct.grid.voxel_mm3 < MIN_METAL_MM3:
        return []
    blocks = margin_zyx(_METAL_REACH_MM, ct.grid)
    # Blocks of the reach's size that hold bone, and those beside them.
    occupied = ndimage.binary_dilation(any_by_block(bone_zyx, blocks), np.ones((3, 3, 3)))
    index = np.argwhere(dense) // np.array(blocks)
    volume = float(occupied[tuple(index.T)].sum() * ct.grid.voxel_mm3)
    if volume < MIN_METAL_MM3:
        return []
    sentence = f"{volume / 1000:.1f} ml of metal lie in or beside the vertebrae; streaks may have moved their borders."
    return [METAL.about(sentence)]


def _noise(hu_zyx: HuArray, muscle_zyx: NDArray[np.bool_]) -> list[Finding]:
    """Estimate noise from second differences along a row of muscle, which gradients of tissue do not change."""
    rows = muscle_zyx[..., :-2] & muscle_zyx[..., 1:-1] & muscle_zyx[..., 2:]
    if rows.sum() < _MIN_VOXELS:
        return []
    left, middle, right = (hu_zyx[..., part][rows].astype(np.float32) for part in _THREE)
    difference = left - 2 * middle + right
    # 1.4826 MAD is the deviation of a normal distribution; the weights 1, -2, 1 enlarge it by the root of 6.
    noise = float(1.4826 * np.median(np.abs(difference - np.median(difference))) / np.sqrt(6.0))
    if noise <= MAX_NOISE_HU:
        return []
    return [NOISE.about(f"The noise in the muscles beside the vertebrae is {noise:.0f} HU.")]


_THREE = (slice(None, -2), slice(1, -1), slice(2, None))
