"""Forms of vertebrae: signed distances on a small lattice of their own, from solids alone.

A form's frame: origin in the middle of the body, x to the left, y to the back, z to the head along the spine.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from cspine.core.anatomy import SACRUM, VERTEBRAE, Region, Vertebra
from cspine.study.synthesis.spine.dimensions import Dimensions, dimensions
from cspine.study.synthesis.spine.solids import Field, Points, body, capsule, ellipsoid, lattice, mirrored, union

_REACH = (56.0, 34.0, 46.0)  # x; y in front; z
_BEHIND = 74.0


@dataclass(frozen=True, eq=False)
class Form:
    """One bone.

    Parameters
    ----------
    distance_mm : ndarray of float32, shape (z, y, x)
        Signed distance, positive inside, on a lattice of 1 mm.
    low_xyz : tuple of float
        Place of the first voxel in the bone's frame, millimetres.
    above_mm, below_mm : float
        From the origin along the spine to the middle of the disc above and below.
    """

    distance_mm: Field
    low_xyz: tuple[float, float, float]
    above_mm: float
    below_mm: float


@dataclass(frozen=True)
class SpineForms:
    """A form for every level and the sacrum.

    Parameters
    ----------
    name : str
        Where they come from.
    forms : dict of int to Form
        By label of `cspine.core.anatomy`; 26 is the sacrum.
    """

    name: str
    forms: dict[int, Form]


def parametric_forms() -> SpineForms:
    """Return forms made of simple solids with the published sizes: they need no data at all."""
    forms = {level.label: parametric_form(level) for level in VERTEBRAE}
    forms[SACRUM] = _sacrum()
    return SpineForms("simple solids", forms)


def parametric_form(level: Vertebra) -> Form:
    """Return the form of a level made of simple solids."""
    size = dimensions(level)
    low = (-_REACH[0], -_REACH[1], -_REACH[2])
    points = lattice(low, (_REACH[0], _BEHIND, _REACH[2]))
    if level.name == "C1":
        solid = _atlas(points, size)
    elif level.name == "C2":
        solid = _axis(points, size)
    else:
        solid = _vertebra(points, size, level.region)
    above, below = size.height / 2 + _disc_above(level) / 2, size.height / 2 + size.disc / 2
    if level.name == "C1":
        above, below = 10.0, 8.0
    if level.name == "C2":
        above = 14.0  # to the middle of the atlas, which the dens reaches through
    return Form(solid, low, above, below)


def _disc_above(level: Vertebra) -> float:
    place = VERTEBRAE.index(level)
    return dimensions(VERTEBRAE[place - 1]).disc if place else 3.0


def _vertebra(points: Points, size: Dimensions, region: Region) -> Field:
    canal_width, canal_depth = size.canal
    wall = 3.0 if region is Region.CERVICAL else 3.3 if region is Region.THORACIC else 4.8
    back = 0.85 * size.depth / 2
    side = canal_width / 2 + wall
    arch_y = back + 0.55 * canal_depth
    rear = back + canal_depth + wall
    length, drop = size.spinous
    lift = 0.18 * size.height
    joint = size.height / 2 + size.disc / 2
    upper = (side, arch_y + 1, joint + 1.5)
    lower = (side - 0.15 * canal_width, arch_y + 5, -joint - 1.5)
    halves = [
        capsule(points, (0.36 * size.width, back - 3, lift), (side, arch_y, lift * 0.5), wall + 0.6),
        capsule(points, (side, arch_y, 0.5 * lift), (0, rear, -0.1 * size.height), wall * 0.9, wall * 1.2),
        capsule(points, (side, arch_y, 0), upper, wall + 1.2, wall + 0.4),
        capsule(points, (side, arch_y + 2, 0), lower, wall + 1.2, wall + 0.2),
        capsule(points, (side, arch_y, 0.5 * lift), _transverse_tip(size, region, arch_y), wall + 0.5, wall + 0.2),
    ]
    if region is Region.CERVICAL:
        # The bar in front of the foramen of the vertebral artery, and the raised edges of the upper end plate.
        tip = _transverse_tip(size, region, arch_y)
        halves.append(capsule(points, (0.42 * size.width, -1, 0), tip, 2.0, 2.4))
        halves.append(capsule(points, (0.46 * size.width, -4, 4.5), (0.46 * size.width, 4, 5.5), 1.8))
    parts = [body(points, size.width, size.depth, size.height), *(mirrored(half) for half in halves)]
    parts += _spinous(points, (0.0, rear, -0.1 * size.height), (length, drop), region)
    return union(parts)


def _transverse_tip(size: Dimensions, region: Region, arch_y: float) -> tuple[float, float, float]:
    if region is Region.CERVICAL:
        return size.span / 2, 4.0, -2.0
    if region is Region.THORACIC:
        return size.span / 2, arch_y + 12, 5.0
    return size.span / 2, arch_y - 1, 3.0


def _spinous(
    points: Points, root: tuple[float, float, float], reach: tuple[float, float], region: Region
) -> list[Field]:
    length, drop = reach
    _, y, z = root
    tip = (0.0, y + length * 0.85, z - drop)
    if region is Region.LUMBAR:  # a plate: three sticks above each other
        return [capsule(points, (0, y, z + dz), (0, tip[1], tip[2] + dz), 3.6) for dz in (-6.0, 0.0, 6.0)]
    if region is Region.CERVICAL and length < 20:  # forked
        fork = mirrored(capsule(points, (0, y + 0.5 * length, z - 0.5 * drop), (4.5, tip[1], tip[2]), 2.2))
        return [capsule(points, root, (0, y + 0.6 * length, z - 0.6 * drop), 2.8), fork]
    return [capsule(points, root, tip, 3.4, 3.8)]


def _atlas(points: Points, size: Dimensions) -> Field:
    """C1: a ring without a body; its origin lies where the dens stands, behind the front arch."""
    width, depth = size.canal
    masses = ellipsoid(points, (16.5, 3, 0), (7.5, 9.5, 8.0))
    angles = np.linspace(-np.pi / 2, np.pi / 2, 13)
    rx, ry, cy = width / 2 + 3, (depth + 17) / 2, 10.0
    track = [(float(rx * np.cos(a)), float(cy + ry * np.sin(a)), 0.0) for a in angles]
    ring = [capsule(points, a, b, 3.6) for a, b in pairwise(track)]
    tip = capsule(points, (20, 3, 0), (size.span / 2, 6, -1), 4.0, 3.4)
    return union([mirrored(masses), *(mirrored(part) for part in ring), mirrored(tip)])


def _axis(points: Points, size: Dimensions) -> Field:
    """C2: a vertebra with the dens, and shoulders that carry C1."""
    typical = Dimensions(size.width, size.depth, 15.0, size.disc, size.canal, size.span, size.spinous)
    lower = _vertebra(points, typical, Region.CERVICAL)
    dens = capsule(points, (0, -1, 5), (0, 0, 21), 5.6, 4.6)
    shoulders = mirrored(ellipsoid(points, (14, 2, 6.0), (8.5, 8.5, 3.6)))
    return union([lower, dens, shoulders])


def _sacrum() -> Form:
    low = (-_REACH[0], -_REACH[1], -110.0)
    points = lattice(low, (_REACH[0], 70.0, 30.0))
    parts = []
    width, depth, z, y = 48.0, 32.0, -1.0, 0.0
    for _ in range(5):
        parts.append(ellipsoid(points, (0, y, z), (width / 2, depth / 2, 15.0)))
        wing = ellipsoid(points, (width * 0.62, y + 5, z - 2), (width * 0.55, depth * 0.45, 15.0))
        parts.append(mirrored(wing))
        z, y, width, depth = z - 19.0, y + 7.0, width * 0.82, depth * 0.8
    parts.append(capsule(points, (0, 22, -4), (0, 46, -66), 5.0, 4.0))
    return Form(union(parts, 3.0), low, 15.0, 90.0)
