"""Devices and artefacts of patients of an evaluation set: contrast, osteopenic bone, metal, another kVp.

Everything is drawn into the perfect image, before the scanner; none of it moves a label.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional

from cspine.study.synthesis.atlas import AIRWAY, TEETH, VESSEL
from cspine.study.synthesis.deformation import smooth_noise
from cspine.study.synthesis.tissue import Anatomy

_COARSE = 3


def change_voltage(hu: torch.Tensor, factor: float) -> None:
    """Scale bone and contrast together, as another tube voltage does, in place; soft tissue stays."""
    hu += (factor - 1) * torch.clamp(hu - 90, min=0)


def fill_vessels(hu: torch.Tensor, anatomy: Anatomy, contrast_hu: float) -> None:
    """Fill the vessels with contrast medium, in place."""
    vessel = (anatomy.tissue == VESSEL) & (anatomy.vertebra_mm < 0) & (anatomy.other_bone_mm < 0)
    soft = _blurred(vessel.float())
    hu += soft * (contrast_hu - hu) * vessel


def osteopenic_bone(hu: torch.Tensor, anatomy: Anatomy, rng: np.random.Generator) -> None:
    """Redraw the vertebrae with a thin, poor cortex over a coarse, fatty inside, in place."""
    near = anatomy.vertebra_mm > -anatomy.spacing_mm
    depth = anatomy.vertebra_mm[near]
    coarse = smooth_noise(rng, anatomy.shape, 1.4 / anatomy.spacing_mm)[near]
    broad = smooth_noise(rng, anatomy.shape, 9 / anatomy.spacing_mm)[near]
    inside = float(rng.uniform(15, 90)) + float(rng.uniform(20, 60)) * coarse
    cortex = float(rng.uniform(230, 420)) * (1 + 0.15 * broad)
    thickness = float(rng.uniform(0.5, 0.9))
    bone = inside + torch.sigmoid((thickness - depth) / 0.3) * (cortex - inside)
    share = torch.clamp(depth / anatomy.spacing_mm + 0.5, 0, 1)
    hu[near] = hu[near].clamp(max=90) * (1 - share) + share * bone


def add_table(hu: torch.Tensor, spacing_mm: float, rng: np.random.Generator) -> None:
    """Put a foam core between two curved carbon skins behind the patient, with a mattress, in place."""
    body = _body(hu)
    behind = torch.nonzero(body.any(dim=0).any(dim=1))
    if not len(behind):
        return
    rows, columns = hu.shape[1:]
    back_mm = float(behind.max()) * spacing_mm + float(rng.uniform(1, 12))
    y = torch.arange(rows)[:, None] * spacing_mm
    x = (torch.arange(columns)[None] - columns / 2) * spacing_mm - float(rng.uniform(-15, 15))
    radius = float(rng.uniform(180, 600))
    height = y - (back_mm - (radius - torch.sqrt(torch.clamp(radius**2 - x**2, min=1.0))))
    deep, skin = float(rng.uniform(18, 45)), float(rng.uniform(1.0, 2.2))
    mattress = float(rng.uniform(0, 10))
    empty = hu < -700
    parts = (
        ((height < 0) & (height > -mattress), float(rng.uniform(-985, -930))),
        ((height >= 0) & (height < deep), float(rng.uniform(-960, -880))),
        (((height >= 0) & (height < skin)) | ((height >= deep - skin) & (height < deep)), float(rng.uniform(-350, 80))),
    )
    for region, value in parts:
        hu[empty & region[None]] = value


def add_collar(hu: torch.Tensor, spacing_mm: float, rng: np.random.Generator) -> None:
    """Put a cervical collar, a plastic shell on foam, around the neck, in place."""
    distance = _distance_to_body(hu, spacing_mm)
    slices, rows, columns = hu.shape
    z = (torch.arange(slices) - slices / 2)[:, None, None] * spacing_mm
    y = torch.arange(rows)[None, :, None] * spacing_mm
    angle = torch.atan2(
        torch.arange(columns)[None, None].float() - columns / 2, -(torch.arange(rows)[None, :, None].float() - rows / 2)
    )
    low, high = float(rng.uniform(-75, -45)), float(rng.uniform(15, 45))
    # The edge rises towards the chin and the back of the head; the two halves overlap at the sides.
    edge = 12 * torch.cos(2 * angle)
    worn = (z > low - edge) & (z < high + edge) & (y >= 0)
    foam, shell = float(rng.uniform(4, 10)), float(rng.uniform(1.8, 3.2))
    gap = float(rng.uniform(0.5, 4)) + 2 * torch.cos(3 * angle + float(rng.uniform(0, 6)))
    empty = (hu < -700) & worn
    holes = (torch.sin(z / 7) * torch.sin(angle * 11)) > 0.72
    hu[empty & (distance > gap) & (distance < gap + foam)] = float(rng.uniform(-960, -890))
    hard = (distance >= gap + foam) & (distance < gap + foam + shell)
    hu[empty & hard & ~holes] = float(rng.uniform(-80, 160))


def add_head_holder(hu: torch.Tensor, spacing_mm: float, rng: np.random.Generator) -> None:
    """Put a trough of carbon fibre with a foam lining behind the head and neck, in place."""
    body = _body(hu)
    behind = torch.nonzero(body.any(dim=0).any(dim=1))
    if not len(behind):
        return
    rows, columns = hu.shape[1:]
    radius = float(rng.uniform(85, 125))
    y = torch.arange(rows)[:, None] * spacing_mm
    x = (torch.arange(columns)[None] - columns / 2) * spacing_mm - float(rng.uniform(-8, 8))
    bottom = float(behind.max()) * spacing_mm + float(rng.uniform(-2, 6))
    far = torch.hypot(x, y - (bottom - radius)) - radius
    low = y > bottom - radius * float(rng.uniform(0.5, 1.1))
    empty = hu < -700
    hu[empty & (low & (far < 0) & (far > -float(rng.uniform(8, 20))))[None]] = float(rng.uniform(-980, -940))
    hu[empty & (low & (far >= 0) & (far < 2.0))[None]] = float(rng.uniform(-250, 120))
    hu[empty & (low & (far >= 2.0) & (far < 9.0))[None]] = float(rng.uniform(-970, -900))
    hu[empty & (low & (far >= 9.0) & (far < 10.5))[None]] = float(rng.uniform(-250, 120))


def add_tubes(hu: torch.Tensor, anatomy: Anatomy, rng: np.random.Generator) -> None:
    """Put a tube into the airway, and lines and leads on the skin, in place."""
    step = anatomy.spacing_mm
    slices, rows, columns = hu.shape
    outer, wall, plastic = float(rng.uniform(4, 5.5)), float(rng.uniform(1.0, 1.6)), float(rng.uniform(80, 260))
    y, x = torch.arange(rows)[:, None] * step, torch.arange(columns)[None] * step
    airway = anatomy.tissue == AIRWAY
    place: tuple[float, float] | None = None
    for k in range(slices):
        found = torch.nonzero(airway[k]).float().mean(dim=0) * step if bool(airway[k].any()) else None
        if found is not None:
            cy, cx = float(found[0]), float(found[1])
            place = (cy, cx) if place is None else (0.8 * place[0] + 0.2 * cy, 0.8 * place[1] + 0.2 * cx)
        if place is None or (found is None and k > slices * 0.75):
            continue
        far = torch.hypot(y - place[0], x - place[1])
        allowed = anatomy.vertebra_mm[k] < -2
        hu[k][(far < outer) & allowed] = plastic
        hu[k][(far < outer - wall) & allowed] = -1000.0
        hu[k][(torch.hypot(y - place[0], x - place[1] - outer + wall / 2) < 0.7) & allowed] = 900.0
    # On the skin: each line winds along the body at a fixed distance from it.
    distance = _distance_to_body(hu, step)
    for _ in range(int(rng.integers(1, 4))):
        radius, inner = float(rng.uniform(1.2, 3.5)), float(rng.uniform(0, 0.8))
        value = float(rng.uniform(60, 300)) if rng.random() < 0.6 else float(rng.uniform(1500, 3000))
        angle, turn = float(rng.uniform(-np.pi, np.pi)), float(rng.normal(0, 0.006))
        for k in range(slices):
            direction = angle + turn * k * step
            ray = np.arange(0, 0.7 * max(rows, columns))
            ry = (rows / 2 + ray * np.cos(direction)).astype(int)
            rx = (columns / 2 + ray * np.sin(direction)).astype(int)
            inside = (ry >= 0) & (ry < rows) & (rx >= 0) & (rx < columns)
            along = distance[k, ry[inside], rx[inside]]
            free = torch.nonzero(along > radius + 0.5).flatten()
            if not len(free):
                continue
            cy, cx = float(ry[inside][int(free[0])]) * step, float(rx[inside][int(free[0])]) * step
            far = torch.hypot(y - cy, x - cx)
            hu[k][(far < radius) & (hu[k] < -700)] = value
            hu[k][far < radius * inner] = -1000.0


def dental_metal(anatomy: Anatomy, rng: np.random.Generator) -> torch.Tensor:
    """Return what fillings and crowns add to the image, HU: parts of some teeth."""
    added = torch.zeros(anatomy.shape)
    teeth = torch.nonzero(anatomy.tissue == TEETH)
    if not len(teeth):
        return added
    step = anatomy.spacing_mm
    for _ in range(int(rng.integers(3, 9))):
        centre = teeth[int(rng.integers(len(teeth)))]
        radius = float(rng.uniform(2.5, 5.0))
        box, far = _ball(anatomy, centre, radius)
        part = (far < radius) & (anatomy.tissue[box] == TEETH)
        added[box][part] = float(rng.uniform(15000, 32000))
    return _smoothed(added, step)


def screws(anatomy: Anatomy, rng: np.random.Generator) -> torch.Tensor:
    """Return what screws and rods at the back of two to four neighbouring vertebrae add to the image, HU."""
    added = torch.zeros(anatomy.shape)
    step = anatomy.spacing_mm
    centres = {}
    for level in range(2, 9):
        found = torch.nonzero((anatomy.level == level) & (anatomy.vertebra_mm > 0))
        if len(found) > 2000 / step**3 * 0.5:
            centres[level] = found.float().mean(dim=0)
    if len(centres) < 2:
        return added
    levels = sorted(centres)
    first = int(rng.integers(0, len(levels) - 1))
    chosen = levels[first : first + int(rng.integers(2, 5))]
    value, radius = float(rng.uniform(9000, 15000)), float(rng.uniform(1.6, 2.1))
    for side in (-1, 1):
        heads = []
        for level in chosen:
            z, y, x = (float(v) for v in centres[level])
            head = np.array([z, y + 14 / step, x + side * 15 / step])
            tip = np.array([z + rng.normal(0, 1.5) / step, y + 1 / step, x + side * float(rng.uniform(11, 19)) / step])
            _rod(added, head, tip, radius / step, value)
            _rod(added, head, head + np.array([0, 4.5 / step, 0]), 3.2 / step, value)
            heads.append(head + np.array([0, 3.5 / step, 0]))
        for one, other in pairwise(heads):
            _rod(added, one, other, 1.7 / step, value)
    return _smoothed(added, step)


def _rod(added: torch.Tensor, one: np.ndarray, other: np.ndarray, radius: float, value: float) -> None:
    """Fill a cylinder with round ends between two indices (z, y, x), in place."""
    low = [max(0, int(min(a, b) - radius - 1)) for a, b in zip(one, other, strict=True)]
    high = [min(n, int(max(a, b) + radius + 2)) for a, b, n in zip(one, other, added.shape, strict=True)]
    if any(a >= b for a, b in zip(low, high, strict=True)):
        return
    grid = torch.meshgrid(*(torch.arange(a, b).float() for a, b in zip(low, high, strict=True)), indexing="ij")
    points = torch.stack(grid, dim=-1) - torch.tensor(one, dtype=torch.float32)
    axis = torch.tensor(other - one, dtype=torch.float32)
    t = ((points @ axis) / axis.square().sum().clamp(min=1e-6)).clamp(0, 1)
    inside = (points - t[..., None] * axis).norm(dim=-1) < radius
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    added[box][inside] = value


def _ball(anatomy: Anatomy, centre: torch.Tensor, radius_mm: float) -> tuple[tuple[slice, ...], torch.Tensor]:
    """Return a box around an index, and the distance from it in millimetres."""
    radius = radius_mm / anatomy.spacing_mm
    low = [max(0, int(c - radius)) for c in centre]
    high = [min(n, int(c + radius) + 2) for c, n in zip(centre, anatomy.shape, strict=True)]
    k, j, i = (torch.arange(a, b) - float(c) for a, b, c in zip(low, high, centre, strict=True))
    far = torch.sqrt(k[:, None, None] ** 2 + j[None, :, None] ** 2 + i[None, None] ** 2) * anatomy.spacing_mm
    return tuple(slice(a, b) for a, b in zip(low, high, strict=True)), far


def _body(hu: torch.Tensor) -> torch.Tensor:
    return hu > -400


def _distance_to_body(hu: torch.Tensor, spacing_mm: float) -> torch.Tensor:
    """Return the distance in millimetres to the skin, 0 in the body, from a coarse lattice; cavities count as body."""
    coarse = _body(hu)[::_COARSE, ::_COARSE, ::_COARSE].numpy()
    filled = np.stack([ndimage.binary_fill_holes(plane) for plane in coarse])
    distance = ndimage.distance_transform_edt(~filled).astype(np.float32) * (spacing_mm * _COARSE)
    field = torch.from_numpy(distance)[None, None]
    # The lattice begins at voxel 0: what its last cell does not reach is as far as its end.
    size = [_COARSE * (n - 1) + 1 for n in coarse.shape]
    fine = functional.interpolate(field, size=size, mode="trilinear", align_corners=True)
    pad = [max(0, n - m) for n, m in zip(hu.shape, size, strict=True)]
    return functional.pad(fine, (0, pad[2], 0, pad[1], 0, pad[0]), mode="replicate")[0, 0]


def _blurred(mask: torch.Tensor) -> torch.Tensor:
    return functional.avg_pool3d(mask[None, None], 3, 1, 1)[0, 0]


def _smoothed(added: torch.Tensor, spacing_mm: float) -> torch.Tensor:
    """Let the metal's border carry its share of a voxel; only where metal is near."""
    with_metal = torch.nonzero(added.amax(dim=(1, 2)) > 0).flatten()
    if len(with_metal):
        part = slice(max(int(with_metal[0]) - 1, 0), int(with_metal[-1]) + 2)
        soft = _blurred(added[part])
        added[part] = torch.where(added[part] > 0, torch.maximum(soft, 0.6 * added[part]), 0.5 * soft)
    return added
