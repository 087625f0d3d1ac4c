"""Slices for the page: axial planes, and sagittal and coronal planes that follow the column, in one byte per pixel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cspine.report.planes import curve
from cspine.report.scene import Scene

#: Pixels are averaged to about this size, millimetres.
PIXEL_MM = 0.7
AXIAL_STEP_MM = 3.0
MAX_AXIAL_PLANES = 64
#: Offsets from the column, millimetres: to the patient's left, and to the back.
SAGITTAL_MM = tuple(range(-20, 21, 4))
CORONAL_MM = tuple(range(-12, 29, 4))

#: Lower limits in Hounsfield units of the codes 0..255: fine steps in soft tissue, coarse ones in air and dense bone.
_STEPS = ((-1024, -224, 16), (-224, 416, 5), (416, 2288, 24))
_LIMITS = np.concatenate([np.arange(first, stop, step) for first, stop, step in _STEPS]).astype(np.float32)[:256]

Plane = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Stack:
    """Parallel planes with their labels.

    Parameters
    ----------
    name : str
        ``"axial"``, ``"sagittal"`` or ``"coronal"``.
    codes_nyx, labels_nyx : ndarray of uint8, shape (planes, rows, columns)
        Codes of Hounsfield units, and labels.
    pixel_mm : tuple of float
        Width and height of a pixel.
    positions : tuple of str
        Where each plane lies, in words.
    start : int
        The plane that is shown first.
    sides : tuple of str
        What is left and right of the picture: letters of the patient's sides.
    """

    name: str
    codes_nyx: NDArray[np.uint8]
    labels_nyx: NDArray[np.uint8]
    pixel_mm: tuple[float, float]
    positions: tuple[str, ...]
    start: int
    sides: tuple[str, str]


def hu_of_codes() -> list[int]:
    """Return the Hounsfield units that each code stands for: the middle of its step."""
    widths = np.diff(_LIMITS, append=2 * _LIMITS[-1] - _LIMITS[-2])
    return [int(v) for v in _LIMITS + (widths - 1) // 2]


def encode(hu: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the code of each Hounsfield unit.

    Parameters
    ----------
    hu : ndarray
        Hounsfield units, any shape.
    """
    return np.clip(np.searchsorted(_LIMITS, hu, side="right") - 1, 0, len(_LIMITS) - 1).astype(np.uint8)


def stacks_of(scene: Scene) -> tuple[Stack, ...]:
    """Return the stacks of the page: sagittal, coronal, axial.

    Parameters
    ----------
    scene : Scene
        Image and labels in LPS.
    """
    return _sagittal(scene), _coronal(scene), _axial(scene)


def _axial(scene: Scene) -> Stack:
    step_x, step_y, step_z = scene.spacing_xyz
    planes = scene.labels_zyx.shape[0]
    stride = max(1, round(AXIAL_STEP_MM / step_z), -(-planes // MAX_AXIAL_PLANES))
    # From head to foot; the middle of the column comes first.
    index = np.arange(planes - 1, -1, -stride)
    middle = float(np.median(scene.centres_zyx[:, 0]))
    heights = (index[0] - index) * step_z
    return _stack(
        "axial",
        [(scene.hu_zyx[z], scene.labels_zyx[z]) for z in index],
        (step_x, step_y),
        tuple(f"{mm:.0f} mm below the top" for mm in heights),
        int(np.abs(index - middle).argmin()),
        ("R", "L"),
    )


def _sagittal(scene: Scene) -> Stack:
    _, step_y, step_z = scene.spacing_xyz
    passes = curve(scene.centres_zyx, 2, scene.labels_zyx.shape)
    z = np.arange(len(passes))

    def plane(array: Plane, offset: int) -> Plane:
        x = np.clip(passes + offset, 0, array.shape[2] - 1)
        return array[z, :, x][::-1]

    return _curved(scene, "sagittal", plane, (SAGITTAL_MM, scene.spacing_xyz[0]), (step_y, step_z), ("left", "right"))


def _coronal(scene: Scene) -> Stack:
    step_x, _, step_z = scene.spacing_xyz
    passes = curve(scene.centres_zyx, 1, scene.labels_zyx.shape)
    z = np.arange(len(passes))

    def plane(array: Plane, offset: int) -> Plane:
        y = np.clip(passes + offset, 0, array.shape[1] - 1)
        return array[z, y, :][::-1]

    return _curved(scene, "coronal", plane, (CORONAL_MM, scene.spacing_xyz[1]), (step_x, step_z), ("behind", "before"))


def _curved(
    scene: Scene,
    name: str,
    plane: Callable[[Plane, int], Plane],
    offsets: tuple[tuple[int, ...], float],
    pixel_mm: tuple[float, float],
    words: tuple[str, str],
) -> Stack:
    offsets_mm, step = offsets
    shifts = [round(mm / step) for mm in offsets_mm]
    return _stack(
        name,
        [(plane(scene.hu_zyx, shift), plane(scene.labels_zyx, shift)) for shift in shifts],
        pixel_mm,
        tuple(_offset_words(mm, words) for mm in offsets_mm),
        offsets_mm.index(0),
        ("A", "P") if name == "sagittal" else ("R", "L"),
    )


def _offset_words(mm: int, words: tuple[str, str]) -> str:
    if mm == 0:
        return "along the column"
    positive, negative = words
    link = " " if positive == "behind" else " of "
    return f"{abs(mm)} mm {positive if mm > 0 else negative}{link}the column"


def _stack(
    name: str,
    planes: list[tuple[Plane, Plane]],
    pixel_mm: tuple[float, float],
    positions: tuple[str, ...],
    start: int,
    sides: tuple[str, str],
) -> Stack:
    across, down = (max(1, round(PIXEL_MM / mm)) for mm in pixel_mm)
    return Stack(
        name,
        np.stack([encode(_mean(hu, down, across)) for hu, _ in planes]),
        np.stack([_nearest(labels, down, across) for _, labels in planes]),
        (pixel_mm[0] * across, pixel_mm[1] * down),
        positions,
        start,
        sides,
    )


def _mean(plane: Plane, down: int, across: int) -> Plane:
    rows, columns = plane.shape[0] // down, plane.shape[1] // across
    blocks = plane[: rows * down, : columns * across].reshape(rows, down, columns, across)
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float32))


def _nearest(plane: Plane, down: int, across: int) -> Plane:
    rows, columns = plane.shape[0] // down, plane.shape[1] // across
    return plane[down // 2 :: down, across // 2 :: across][:rows, :columns]
