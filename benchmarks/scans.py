"""CT scans of any number of slices and pixels, made of one CT of a neck, as volumes and as DICOM series."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cspine.core.volumes import CtVolume
from cspine.dicom.write_ct import CtSeriesDescription, write_ct_series

#: Denser voxels of the trunk become soft tissue, so that it has no vertebrae.
_BONE_HU, _SOFT_TISSUE_HU = 150, 40
#: Slices of the lower end that the trunk repeats, at most a third of the scan.
_REPEATED = 60


def resampled(ct: CtVolume, shape: tuple[int, int, int]) -> CtVolume:
    """Return the volume with ``shape`` voxels (z, y, x) in the same field of view, linear between its voxels."""
    from scipy.ndimage import affine_transform

    factors = np.array(ct.hu_zyx.shape) / np.array(shape)
    first = 0.5 * factors - 0.5
    hu = affine_transform(ct.hu_zyx, factors, offset=first, output_shape=shape, order=1, mode="nearest")
    affine = ct.affine_lps.copy()
    affine[:3, :3] = ct.affine_lps[:3, :3] * factors[::-1]
    affine[:3, 3] += ct.affine_lps[:3, :3] @ first[::-1]
    return CtVolume(hu, affine)


def with_trunk(ct: CtVolume, slices: int) -> CtVolume:
    """Return an axial scan with more slices towards the feet: its lower end to and fro, without bones."""
    more, step = slices - len(ct.hu_zyx), ct.affine_lps[:3, 2]
    is_foot_first = step[2] > 0
    from_foot = ct.hu_zyx if is_foot_first else ct.hu_zyx[::-1]
    end = from_foot[: min(_REPEATED, max(1, len(from_foot) // 3))]
    end = np.where(end > _BONE_HU, _SOFT_TISSUE_HU, end).astype(from_foot.dtype)
    away = np.concatenate([end, end[::-1]] * (more // (2 * len(end)) + 1))[:more]
    hu = np.concatenate([away[::-1], from_foot])
    affine = ct.affine_lps.copy()
    if is_foot_first:
        affine[:3, 3] -= more * step
    return CtVolume(np.ascontiguousarray(hu if is_foot_first else hu[::-1]), affine)


def scan_of(ct: CtVolume, slices: int, neck: int, pixels: int) -> CtVolume:
    """Return a scan of a number of slices.

    Parameters
    ----------
    ct : CtVolume
        A CT of a neck.
    slices : int
        Slices of the scan.
    neck : int
        Slices of the neck at most: fewer have its field of view with a larger distance, more continue with a trunk.
    pixels : int
        Rows and columns.
    """
    part = resampled(ct, (min(slices, neck), pixels, pixels))
    return part if slices <= neck else with_trunk(part, slices)


def write_series(ct: CtVolume, folder: Path, uid_seed: str = "benchmark", **description: str) -> None:
    """Write a volume as a DICOM series; further arguments as `CtSeriesDescription`, for example the transfer syntax."""
    write_ct_series(ct, folder, CtSeriesDescription(uid_seed, **description))
