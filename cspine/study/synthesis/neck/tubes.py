"""Tubular structures of a neck: vessels with contrast medium, ossified ligaments, plates and screws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from cspine.study.synthesis.meshes import Points
from cspine.study.synthesis.neck.column import PosedBone
from cspine.study.synthesis.neck.nearby import STEP, PointGrid

#: Distance to the side and to the back of the body's middle, millimetres, from C1 on.
_CAROTID = ((25, -9), (24, -13), (25, -15), (26, -17), (26, -18), (25, -19), (22, -22), (16, -27), (11, -34))
_JUGULAR = ((31, -5), (30, -6), (32, -8), (34, -11), (34, -13), (33, -15), (30, -20), (26, -28), (20, -36))
_VERTEBRAL = ((27, 4), (17, 2), (14.5, 0), (14.5, 0), (15, 0), (15.5, -1), (18, -8), (17, -18))
_PRECONTRAST_HU = (30.0, 55.0)
_METAL_HU = 9000.0


@dataclass(frozen=True, eq=False)
class Tube:
    """A round bar along a line.

    Parameters
    ----------
    line_mm : ndarray, shape (n, 3)
        Points of its axis in the column's frame.
    radius_mm : ndarray, shape (n,)
        Its radius at each of them.
    hu : float
        What fills it.
    through_bone : bool
        True where it goes through bone; a vessel does not.
    """

    line_mm: Points
    radius_mm: Points
    hu: float
    through_bone: bool = False


@dataclass(frozen=True)
class Contrast:
    """What is bright beside the bones.

    Parameters
    ----------
    filled : float
        Probability that contrast medium is in the vessels.
    strong : bool
        True where arteries and veins are both dense with it.
    calcified : float
        Probability of plaques in the wall of a carotid artery.
    ossified : float
        Probability that parts of the larynx's cartilage are bone.
    """

    filled: float = 0.6
    strong: bool = False
    calcified: float = 0.35
    ossified: float = 0.6


def random_vessels(bones: Sequence[PosedBone], rng: np.random.Generator, contrast: Contrast) -> list[Tube]:
    """Draw carotids, jugular veins and vertebral arteries of both sides, with calcified walls in some.

    Parameters
    ----------
    bones : sequence of PosedBone
        The column that they run beside.
    rng : Generator
        Source of randomness.
    contrast : Contrast
        What fills them, and how often their walls are calcified.
    """
    arterial = venous = None
    if rng.random() < contrast.filled:
        phase = rng.choice(3)
        arterial = float(rng.uniform(130, 500)) if phase != 2 else float(rng.uniform(60, 160))
        venous = float(rng.uniform(100, 400)) if phase != 0 else float(rng.uniform(40, 120))
    if contrast.strong:
        arterial, venous = float(rng.uniform(300, 550)), float(rng.uniform(250, 450))
    plain = float(rng.uniform(*_PRECONTRAST_HU))
    by_label = {bone.label: bone for bone in bones}
    shift = rng.normal(0, 2.0, size=2)
    wide = rng.uniform(2.4, 6.5)
    tubes = []
    for side in (-1, 1):
        carotid = _line(by_label, _CAROTID, side, shift, rng)
        radius = rng.uniform(2.5, 4.2)
        bulb = 1 + rng.uniform(0, 0.5) * np.exp(-0.5 * ((np.arange(len(carotid)) - 3.2) / 0.8) ** 2)
        tubes.append(Tube(carotid, radius * bulb, arterial or plain))
        tubes += _calcified(carotid, radius, rng, contrast.calcified)
        vein = _line(by_label, _JUGULAR, side, shift, rng)
        own = np.clip(wide * rng.uniform(0.5, 1.3), 2.2, 8.0) * rng.uniform(0.8, 1.25, size=len(vein))
        tubes.append(Tube(vein, own, venous or plain))
        vertebral = _line(by_label, _VERTEBRAL, side, np.zeros(2), rng, loose=0.5)
        tubes.append(Tube(vertebral, np.full(len(vertebral), rng.uniform(1.0, 2.4)), arterial or plain))
        if rng.random() < 0.6:  # the outer carotid, to the front and up
            start = carotid[min(3, len(carotid) - 1)]
            tip = start + np.array([side * rng.uniform(-4, 8), rng.uniform(-25, -8), rng.uniform(20, 45)])
            line = np.array([start, (start + tip) / 2 + rng.normal(0, 3, 3), tip])
            tubes.append(Tube(line, np.full(3, rng.uniform(1.5, 2.6)), arterial or plain))
    return tubes


def random_ligament(bones: Sequence[PosedBone], rng: np.random.Generator) -> list[Tube]:
    """Draw an ossified stylohyoid ligament, on one side or on both."""
    first, third = bones[0], bones[2]
    tubes = []
    for side in [-1, 1] if rng.random() < 0.5 else [int(rng.choice([-1, 1]))]:
        top = first.point(side * 30, -14, 22) + rng.normal(0, 3, 3)
        foot = third.point(side * 17, -36, -10) + rng.normal(0, 3, 3)
        end = top + rng.uniform(0.4, 1.0) * (foot - top)
        radius = rng.uniform(0.9, 2.4)
        line = np.array([top, (top + end) / 2 + rng.normal(0, 2, 3), end])
        tubes.append(Tube(line, np.full(3, radius), float(rng.uniform(250, 1100))))
    return tubes


def random_plate(bones: Sequence[PosedBone], rng: np.random.Generator) -> list[Tube]:
    """Draw a plate in front of two to four bodies, with screws into them."""
    count = int(rng.integers(2, 5))
    first = int(rng.integers(3, 9 - count))
    chosen = [bone for bone in bones if first <= bone.label < first + count]
    front = -rng.uniform(9, 12)
    tubes = []
    for side in (-4.5, 4.5):
        bar = np.array([bone.point(side, front, 0) for bone in chosen])
        tubes.append(Tube(bar, np.full(len(bar), rng.uniform(1.3, 2.2)), _METAL_HU, True))
        for bone in chosen:
            tip = bone.point(0.6 * side, front + rng.uniform(11, 17), rng.normal(0, 1.5))
            screw = np.array([bone.point(side, front, 0), tip])
            tubes.append(Tube(screw, np.full(2, rng.uniform(1.5, 2.2)), _METAL_HU, True))
    return tubes


def _line(
    by_label: dict[int, PosedBone],
    places: tuple[tuple[float, float], ...],
    side: int,
    shift: Points,
    rng: np.random.Generator,
    loose: float = 2.2,
) -> Points:
    """Return the axis of a vessel, head to foot, with a piece above the first level."""
    points = []
    for label, (x, y) in enumerate(places, 1):
        wander = rng.normal(0, loose, size=2)
        bone = by_label[label]
        # Sizes of the atlas's neck: a bone of another person is larger, and so is what lies beside it.
        place = np.array([side * (x + shift[0] + wander[0]), y + shift[1] + wander[1], 0.0])
        points.append(bone.origin_mm + bone.size * (bone.axes @ place))
    above = points[0] + (points[0] - points[1]) + rng.normal(0, 2, 3)
    return np.array([above, *points])


def _calcified(line: Points, radius: float, rng: np.random.Generator, share: float) -> list[Tube]:
    """Draw plaques in the wall of an artery, near its fork more than elsewhere."""
    plaques = []
    for _ in range(int(rng.integers(0, 4)) if rng.random() < share else 0):
        place = float(np.clip(rng.normal(4.0, 1.5), 0.5, len(line) - 1.5))
        at = line[int(place)] + (place % 1) * (line[int(place) + 1] - line[int(place)])
        out = rng.normal(0, 1, 3) * [1, 1, 0.3]
        at = at + radius * out / np.linalg.norm(out)
        tip = at + rng.normal(0, 1.5, 3) * [0.5, 0.5, 2.0]
        plaques.append(Tube(np.array([at, tip]), np.full(2, rng.uniform(0.6, 1.8)), float(rng.uniform(400, 1300))))
    return plaques


def draw_tubes(hu: torch.Tensor, where: PointGrid, tubes: Sequence[Tube], free: torch.Tensor) -> None:
    """Draw tubes into an image, in place.

    Parameters
    ----------
    hu : Tensor of float32, shape (z, y, x)
        Changed; a border voxel gets its share.
    where : PointGrid
        Where its voxels lie.
    tubes : sequence of Tube
        Later ones are drawn over earlier ones.
    free : Tensor of float32, shape (z, y, x)
        Share of each voxel that a vessel may fill: neither bone nor air.
    """
    for tube in tubes:
        for (a, ra), (b, rb) in pairwise(zip(tube.line_mm, tube.radius_mm, strict=True)):
            start, direction = torch.from_numpy(a).float(), torch.from_numpy(b - a).float()
            reach = max(ra, rb) + 0.9 * STEP * where.spacing_mm + 1.0
            box = where.box(_from_axis(where.sparse_xyz, start, direction)[0] < reach)
            if box is None:
                continue
            distance, along = _from_axis(where.points_xyz[box], start, direction)
            share = torch.clamp((ra + along * (rb - ra) - distance) / where.spacing_mm + 0.5, 0, 1)
            if not tube.through_bone:
                share = share * free[box]
            hu[box] += share * (tube.hu - hu[box])


def _from_axis(points: torch.Tensor, start: torch.Tensor, direction: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the distance from a piece of a line, and where along it (0 to 1) the nearest point lies."""
    away = points - start
    along = ((away @ direction) / direction.square().sum().clamp(min=1e-6)).clamp(0, 1)
    return (away - along[..., None] * direction).norm(dim=-1), along
