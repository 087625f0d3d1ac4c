"""Remove what is too soft for bone: entire levels that lie in air or fat, and detached components in soft tissue."""

from __future__ import annotations

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cspine.core.anatomy import vertebra
from cspine.core.findings import NOT_BONE, Finding
from cspine.core.norms import MIN_BONE_HU, MIN_POSSIBLE_BONE_HU, MIN_REPORTED_MM3
from cspine.core.shape import Box, value_boxes
from cspine.core.volumes import CtVolume, HuArray, LabelArray


def remove_non_bone(labels_zyx: LabelArray, ct: CtVolume) -> tuple[list[Finding], dict[int, list[float]]]:
    """Remove levels and detached components whose mean density excludes bone, in place.

    A level's main component is removed below `core.norms.MIN_POSSIBLE_BONE_HU`, because a vertebra with little mineral
    is still a vertebra; a component beside it, which the network may have placed in muscle or skin, below
    `core.norms.MIN_BONE_HU`.

    Parameters
    ----------
    labels_zyx : ndarray of uint8, shape (z, y, x)
        Labels; changed.
    ct : CtVolume
        The image, on the same grid.

    Returns
    -------
    findings : list of Finding
        For each entire level that was removed, and for components from `core.norms.MIN_REPORTED_MM3` on.
    removed_mm3 : dict of int to list of float
        Volume of each detached component that was removed, by label.
    """
    findings: list[Finding] = []
    removed: dict[int, list[float]] = {}
    for label, box in value_boxes(labels_zyx).items():
        inside = labels_zyx[box] == label
        mean_hu = mean_density(ct, box, inside)
        if mean_hu is not None and mean_hu < MIN_POSSIBLE_BONE_HU:
            labels_zyx[box][inside] = 0
            name = vertebra(label).name
            sentence = f"The region labelled {name} was removed: with a mean of {mean_hu:.0f} HU it is not bone."
            findings.append(NOT_BONE.about(sentence, name))
            continue
        volumes = _remove_soft_components(labels_zyx[box], inside, ct.hu_zyx[box], ct.grid.voxel_mm3)
        if volumes:
            removed[label] = volumes
        findings += _component_findings(label, volumes)
    return findings, removed


def mean_density(ct: CtVolume, box: Box, inside_zyx: NDArray[np.bool_]) -> float | None:
    """Return the mean of the image over the voxels of a mask within a box, HU, or None for an empty mask.

    Parameters
    ----------
    ct : CtVolume
        The image.
    box : tuple of slice
        Slices along z, y and x.
    inside_zyx : ndarray of bool
        The mask, of the shape of the box.
    """
    values = ct.hu_zyx[box][inside_zyx]
    return float(values.mean(dtype=np.float64)) if values.size else None


def _remove_soft_components(
    labels_zyx: LabelArray, inside_zyx: NDArray[np.bool_], hu_zyx: HuArray, voxel_mm3: float
) -> list[float]:
    """Remove the detached components of a label that are soft tissue, in place, and return their volumes."""
    numbers = np.asarray(cc3d.connected_components(np.ascontiguousarray(inside_zyx), connectivity=26))
    voxels = np.bincount(numbers.ravel())
    if len(voxels) <= 2:
        return []
    order = np.argsort(-voxels[1:], kind="stable") + 1
    means = ndimage.mean(hu_zyx, numbers, index=order[1:])
    soft = order[1:][np.asarray(means) < MIN_BONE_HU]
    labels_zyx[np.isin(numbers, soft)] = 0
    return [float(voxels[number] * voxel_mm3) for number in soft]


def _component_findings(label: int, volumes_mm3: list[float]) -> list[Finding]:
    reported = [volume for volume in volumes_mm3 if volume >= MIN_REPORTED_MM3]
    if not reported:
        return []
    name = vertebra(label).name
    sentence = f"{sum(reported) / 1000:.1f} ml labelled {name} with the density of soft tissue were removed."
    return [NOT_BONE.about(sentence, name)]
