"""The bones of one patient on a grid: for each voxel the nearest vertebra, its surface, and the joint that is near.

A voxel belongs to the vertebra whose own surface holds it. Where surfaces of two overlap or come nearer than the gap of
their joint, both give way by the same amount, so that neighbours may touch and never overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from cspine.core.geometry import Grid
from cspine.study.synthesis.neck.column import PosedBone
from cspine.study.synthesis.neck.form import FormChange, distance_to
from cspine.study.synthesis.neck.wear import DISC, FACET_Y_MM, LEFT, RIGHT, Joints, values_at

_FAR_MM = 30.0
#: How far around a bone its distance is computed.
_REACH_MM = 8.0
#: Distances are first computed at every fourth voxel, to find the blocks that need exact ones.
_BLOCK = 4
#: A joint is where two bones are this near.
_JOINT_MM = 7.0


@dataclass(frozen=True, eq=False)
class BoneFields:
    """Fields on a grid, all of shape (z, y, x).

    Parameters
    ----------
    level : Tensor of uint8
        Label of the nearest vertebra; 0 far from all.
    surface_mm : Tensor of float32
        Signed distance to its surface, positive inside.
    neighbour_mm : Tensor of float32
        Signed distance to the surface of the second nearest vertebra.
    upper : Tensor of uint8
        Label of the upper one of the two, 0 where they are no neighbours or no joint is near.
    joint : Tensor of uint8
        Which joint of them: disc, left or right facets.
    """

    level: torch.Tensor
    surface_mm: torch.Tensor
    neighbour_mm: torch.Tensor
    upper: torch.Tensor
    joint: torch.Tensor


def bone_fields(
    grid: Grid,
    points_xyz: torch.Tensor,
    bones: Sequence[tuple[PosedBone, FormChange]],
    joints: Joints,
    hills_mm: torch.Tensor,
) -> BoneFields:
    """Place all bones on a grid.

    Parameters
    ----------
    grid : Grid
        Shape of the fields.
    points_xyz : Tensor of float32, shape (z, y, x, 3)
        Where each voxel lies in the frame that the bones stand in, millimetres.
    bones : sequence of (PosedBone, FormChange)
        The column.
    joints : Joints
        Gaps and growth.
    hills_mm : Tensor of float32, shape (z, y, x)
        Added to every surface.
    """
    shape = grid.shape_zyx
    coarse = points_xyz[::_BLOCK, ::_BLOCK, ::_BLOCK]
    distances = [_on_lattice(posed, change, coarse) for posed, change in bones]
    # Far from the bones the lattice's distances are good enough.
    best = _enlarged(torch.stack(distances).amax(dim=0), shape).clamp(max=-_REACH_MM + 1)
    second = torch.full(shape, -_FAR_MM)
    level, other = torch.zeros(shape, dtype=torch.uint8), torch.zeros(shape, dtype=torch.uint8)
    side, front = torch.zeros(shape), torch.zeros(shape)
    reach = _REACH_MM + _BLOCK * grid.spacing_xyz[0] * 1.8
    for (posed, change), rough in zip(bones, distances, strict=True):
        blocks = _blocks(rough > -reach, shape)
        if blocks is None:
            continue
        box, mask = blocks
        away = points_xyz[box][mask] - torch.from_numpy(posed.origin_mm).float()
        distance, local = distance_to(posed, change, away)
        distance += hills_mm[box][mask]
        nearest, then, whose, next_one = (field[box][mask] for field in (best, second, level, other))
        first, is_second = distance > nearest, (distance <= nearest) & (distance > then)
        second[box][mask] = torch.where(first, nearest, torch.where(is_second, distance, then))
        label = torch.full_like(whose, posed.label)
        other[box][mask] = torch.where(first, whose, torch.where(is_second, label, next_one))
        best[box][mask], level[box][mask] = torch.where(first, distance, nearest), torch.where(first, label, whose)
        side[box][mask] = torch.where(first, local[:, 0], side[box][mask])
        front[box][mask] = torch.where(first, local[:, 1], front[box][mask])
    upper = torch.minimum(level, other)
    near = (second > -_JOINT_MM) & (best > -_JOINT_MM) & (torch.maximum(level, other) - upper == 1) & (upper > 0)
    upper = torch.where(near, upper, torch.zeros_like(upper))
    joint = torch.where(front < FACET_Y_MM, DISC, torch.where(side > 0, LEFT, RIGHT)).to(torch.uint8)
    _give_way(best, second, upper, joint, joints)
    return BoneFields(level, best, second, upper, joint)


def _give_way(
    best: torch.Tensor, second: torch.Tensor, upper: torch.Tensor, joint: torch.Tensor, joints: Joints
) -> None:
    """Let worn surfaces grow towards each other, and keep neighbours apart by the gap of their joint, in place."""
    near = upper > 0
    a, b, row, column = best[near], second[near], upper[near], joint[near]
    growth = values_at(joints.growth_mm, row, column)
    bridged = values_at(joints.bridged, row, column) > 0
    # Bone grows where the other one is near: twice as far at the joint as some millimetres beside it.
    grown = growth * torch.exp(-((torch.clamp(-torch.minimum(a, b), min=0) / 3.0) ** 2))
    filled = torch.where(bridged & (a > -2.0) & (b > -2.5), torch.full_like(a, 2.2), torch.zeros_like(a))
    a, b = a + torch.maximum(grown, filled), b + torch.maximum(grown, filled)
    gap = values_at(joints.gap_mm, row, column)
    best[near] = torch.minimum(a, (a - b - gap) / 2)
    second[near] = b
    far = ~near
    best[far] = torch.minimum(best[far], (best[far] - second[far]) / 2)


def _on_lattice(posed: PosedBone, change: FormChange, points_xyz: torch.Tensor) -> torch.Tensor:
    """Return the signed distance to a bone at every point of a lattice."""
    away = (points_xyz - torch.from_numpy(posed.origin_mm).float()).reshape(-1, 3)
    return distance_to(posed, change, away)[0].reshape(points_xyz.shape[:3])


def _enlarged(field: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
    """Return a field of every `_BLOCK`-th voxel at all voxels."""
    upsampled = torch.nn.functional.interpolate(field[None, None], scale_factor=_BLOCK, mode="trilinear")[0, 0]
    return upsampled[: shape[0], : shape[1], : shape[2]].contiguous()


def _blocks(near: torch.Tensor, shape: tuple[int, int, int]) -> tuple[tuple[slice, slice, slice], torch.Tensor] | None:
    """Return the box of the blocks that are near, and which of its voxels are in them; None where none is."""
    found = torch.nonzero(near)
    if not len(found):
        return None
    low, high = found.amin(dim=0), found.amax(dim=0) + 1
    part = near[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    for axis in range(3):
        part = part.repeat_interleave(_BLOCK, dim=axis)
    z, y, x = (slice(int(a) * _BLOCK, min(int(b) * _BLOCK, n)) for a, b, n in zip(low, high, shape, strict=True))
    return (z, y, x), part[: z.stop - z.start, : y.stop - y.start, : x.stop - x.start]
