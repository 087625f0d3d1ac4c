"""Remove what is too soft for bone: components in air or fat, and those in soft tissue beside a level's main one."""

from __future__ import annotations

from typing import Any

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cspine.core.anatomy import vertebra
from cspine.core.findings import NOT_BONE, Finding
from cspine.core.norms import MIN_BONE_HU, MIN_POSSIBLE_BONE_HU, MIN_REPORTED_MM3
from cspine.core.shape import Box, value_boxes
from cspine.core.volumes import CtVolume, HuArray, LabelArray


def remove_air(labels_zyx: LabelArray, ct: CtVolume) -> list[Finding]:
    """Remove the components of each level that are air or fat on average, in place.

    It comes before anything that takes the largest component of a level for the vertebra.

    Parameters
    ----------
    labels_zyx : ndarray of uint8, shape (z, y, x)
        Labels; changed.
    ct : CtVolume
        The image, on the same grid.

    Returns
    -------
    list of Finding
        For each entire level that was removed, and for components from `core.norms.MIN_REPORTED_MM3` on.
    """
    findings: list[Finding] = []
    for label, box in value_boxes(labels_zyx).items():
        inside, hu_zyx = labels_zyx[box] == label, ct.hu_zyx[box]
        if not (hu_zyx[inside] < MIN_POSSIBLE_BONE_HU).any():
            continue
        numbers, order, voxels, means = _components(inside, hu_zyx)
        air = order[means < MIN_POSSIBLE_BONE_HU]
        labels_zyx[box][np.isin(numbers, air)] = 0
        volumes = [float(voxels[number] * ct.grid.voxel_mm3) for number in air]
        gone = len(air) == len(order)
        findings += [_level_finding(label, ct, box, inside)] if gone else _component_findings(label, volumes)
    return findings


def remove_non_bone(labels_zyx: LabelArray, ct: CtVolume) -> tuple[list[Finding], dict[int, list[float]]]:
    """Remove levels and detached components whose mean density excludes bone, in place.

    Of each level the components below `core.norms.MIN_POSSIBLE_BONE_HU` are removed. The largest one that is left is
    its main component and stays, because a vertebra with little mineral is still a vertebra; those beside it, which the
    network may have placed in muscle or skin, are removed below `core.norms.MIN_BONE_HU`.

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
        volumes = _remove_soft_components(labels_zyx[box], inside, ct.hu_zyx[box], ct.grid.voxel_mm3)
        if not (labels_zyx[box] == label).any():
            findings.append(_level_finding(label, ct, box, inside))
            continue
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
    """Remove the components of a label that are no bone, in place, and return their volumes."""
    numbers, order, voxels, means = _components(inside_zyx, hu_zyx)
    possible = np.flatnonzero(means >= MIN_POSSIBLE_BONE_HU)
    keeps = means >= MIN_BONE_HU
    keeps[possible[:1]] = True
    soft = order[~keeps]
    labels_zyx[np.isin(numbers, soft)] = 0
    return [float(voxels[number] * voxel_mm3) for number in soft]


def _components(
    inside_zyx: NDArray[np.bool_], hu_zyx: HuArray
) -> tuple[NDArray[Any], NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Return the components' numbers, those in order of size, their voxels, and their mean HU in that order."""
    numbers = np.asarray(cc3d.connected_components(np.ascontiguousarray(inside_zyx), connectivity=26))
    voxels = np.bincount(numbers.ravel())
    order = np.argsort(-voxels[1:], kind="stable") + 1
    return numbers, order, voxels, np.asarray(ndimage.mean(hu_zyx, numbers, index=order))


def _level_finding(label: int, ct: CtVolume, box: Box, inside_zyx: NDArray[np.bool_]) -> Finding:
    name, mean_hu = vertebra(label).name, mean_density(ct, box, inside_zyx)
    return NOT_BONE.about(
        f"The region labelled {name} was removed: with a mean of {mean_hu:.0f} HU it is not bone.", name
    )


def _component_findings(label: int, volumes_mm3: list[float]) -> list[Finding]:
    reported = [volume for volume in volumes_mm3 if volume >= MIN_REPORTED_MM3]
    if not reported:
        return []
    name = vertebra(label).name
    sentence = f"{sum(reported) / 1000:.1f} ml labelled {name} with the density of soft tissue were removed."
    return [NOT_BONE.about(sentence, name)]
