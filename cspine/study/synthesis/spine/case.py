"""One synthetic case: a CT of a spine, or a part of it, with its labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from cspine.core.anatomy import SACRUM, VERTEBRAE, rank, vertebra
from cspine.core.geometry import Grid
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.study.synthesis.case import centred_grid, resample
from cspine.study.synthesis.deformation import smooth_noise
from cspine.study.synthesis.scanner import Acquisition, acquire, random_scan
from cspine.study.synthesis.spine.column import Pose, sequence, stand
from cspine.study.synthesis.spine.forms import Form, SpineForms
from cspine.study.synthesis.spine.surroundings import draw_tissue, other_bones, points_in_box
from cspine.study.synthesis.tissue import Anatomy, draw_hu

#: Raised where a seed gives another case than before.
EDITION = 1
_NOTHING_HU = -1020.0
_FAR_MM = 30.0
#: A view ends this far beyond the middles of its outermost levels.
_BEYOND_MM = 26.0


@dataclass(frozen=True)
class SpineSettings:
    """What to draw.

    Parameters
    ----------
    spacing_xyz : tuple of float
        Voxel size of the result, millimetres.
    view : str or tuple of str
        ``"complete"`` from the skull base to the sacrum, ``"cervical"`` C1..T2, ``"random"`` any part; or the first and
        the last level, for example ``("T11", "L5")``.
    internal_mm : float or None
        Voxel size at which the image is drawn before it is sampled; from the spacing if omitted.
    width_mm : tuple of float or None
        Field of view from side to side and from front to back; random if omitted.
    thoracic, lumbar : int or None
        11, 12 or 13, and 4, 5 or 6 vertebrae; if omitted, 12 and 5 in most patients.
    scan : Acquisition or None
        The acquisition; random if omitted.
    coarse_share : float
        Share of the random acquisitions that were stored at coarse pixels.
    """

    spacing_xyz: tuple[float, float, float] = (3.0, 3.0, 3.0)
    view: str | tuple[str, str] = "complete"
    internal_mm: float | None = None
    width_mm: tuple[float, float] | None = None
    thoracic: int | None = None
    lumbar: int | None = None
    scan: Acquisition | None = None
    coarse_share: float = 0.1


def synthesize_spine(
    forms: SpineForms, seed: int, settings: SpineSettings | None = None
) -> tuple[CtVolume, LabelVolume]:
    """Make a CT of a spine with its labels.

    Parameters
    ----------
    forms : SpineForms
        From `forms.parametric_forms` or `mesh_forms.mesh_forms`.
    seed : int
        The same seed, forms and settings give the same case.
    settings : SpineSettings, optional
        A complete spine at 3 mm if omitted.

    Returns
    -------
    ct : CtVolume
        int16 HU, axes to L, P, S.
    labels : LabelVolume
        Labels of `cspine.core.anatomy`, and 26 for the sacrum, on the same grid.
    """
    settings = settings or SpineSettings()
    rng = np.random.default_rng(seed)
    poses = stand(forms, sequence(rng, settings.thoracic, settings.lumbar), rng)
    centre, extent = _field_of_view(poses, rng, settings)
    poses = tuple(Pose(p.label, p.origin_mm - centre, p.axes, p.scale_xyz) for p in poses)
    internal = settings.internal_mm or float(np.clip(min(settings.spacing_xyz), 1.0, 2.0))
    fine, target = centred_grid(extent, (internal,) * 3), centred_grid(extent, settings.spacing_xyz)
    scan = settings.scan or random_scan(rng, settings.coarse_share)

    level, surface = _bones(fine, forms, poses, rng)
    tissue = draw_tissue(fine, poses, rng)
    other = torch.minimum(other_bones(fine, poses, rng), -surface - 1.0)
    surface = surface + _surface_shift(level, internal, rng)
    anatomy = Anatomy(tissue, level, surface, other, internal)
    hu = resample(acquire(draw_hu(anatomy, rng), internal, scan), fine, target)
    edge = resample(torch.clamp(surface, -3, 3), fine, target)
    number = resample(level.float(), fine, target, mode="nearest")
    labels = torch.where((edge > 0) & (hu > _NOTHING_HU), number, torch.zeros_like(number)).to(torch.uint8)
    ct = CtVolume(hu.round().to(torch.int16).numpy(), target.affine_lps)
    return ct, LabelVolume(labels.numpy(), target.affine_lps)


def _field_of_view(
    poses: tuple[Pose, ...], rng: np.random.Generator, settings: SpineSettings
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the middle and size (x, y, z) of the scan, millimetres."""
    first, last = _shown(poses, rng, settings.view)
    shown = np.array([pose.origin_mm for pose in poses[first : last + 1]])
    top = float(shown[:, 2].max()) + _BEYOND_MM * rng.uniform(0.6, 1.3)
    bottom = float(shown[:, 2].min()) - _BEYOND_MM * rng.uniform(0.6, 1.3)
    if poses[last].label == SACRUM:
        bottom -= rng.uniform(20, 90)
    width, depth = settings.width_mm or (rng.uniform(120, 230), rng.uniform(140, 230))
    low, high = shown[:, :2].min(axis=0), shown[:, :2].max(axis=0)
    # The spinous processes reach far behind the bodies: a little more room there.
    middle = (low + high) / 2 + np.array([rng.normal(0, 5), 14 + rng.normal(0, 6)])
    size = np.maximum([width, depth], high - low + np.array([80.0, 110.0]))
    return np.array([*middle, (top + bottom) / 2]), np.array([*size, top - bottom])


def _shown(poses: tuple[Pose, ...], rng: np.random.Generator, view: str | tuple[str, str]) -> tuple[int, int]:
    """Return the first and last place of the column in view."""
    draw, count = float(rng.random()), int(rng.integers(4, 15))
    start = int(rng.integers(0, max(1, len(poses) - count)))
    if isinstance(view, tuple):
        return _nearest(poses, view[0]), _nearest(poses, view[1])
    if view == "cervical" or (view == "random" and draw < 0.2):
        return 0, _nearest(poses, "T2")
    if view == "complete" or (view == "random" and draw < 0.6):
        return 0, len(poses) - 1
    return start, min(start + count, len(poses) - 1)


def _nearest(poses: tuple[Pose, ...], name: str) -> int:
    """Place of a level, or of the last one above it where the patient has none of that name."""
    wanted = rank(vertebra(name).label)
    return max(i for i, pose in enumerate(poses) if pose.label != SACRUM and rank(pose.label) <= wanted)


def _bones(
    grid: Grid, forms: SpineForms, poses: tuple[Pose, ...], rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the nearest bone and signed distance to the nearest surface, on a grid."""
    level = torch.zeros(grid.shape_zyx, dtype=torch.uint8)
    surface = torch.full(grid.shape_zyx, -_FAR_MM)
    wide = rng.uniform(18, 40)
    warp = torch.stack(
        [
            float(rng.uniform(0, 0.06)) * wide * 0.5 * smooth_noise(rng, grid.shape_zyx, wide / grid.spacing_xyz[0])
            for _ in range(3)
        ],
        dim=-1,
    )
    for pose in poses:
        form = forms.forms[pose.label]
        reach = _reach(form, pose)
        box, points = points_in_box(grid, pose.origin_mm + reach[0], reach[1])
        if points is None:
            continue
        away = torch.from_numpy(points) + warp[box] - torch.from_numpy(pose.origin_mm).float()
        local = (away @ torch.from_numpy(pose.axes).float()) / torch.from_numpy(pose.scale_xyz).float()
        distance = _sample(form, local) * float(np.cbrt(np.prod(pose.scale_xyz)))
        nearer = distance > surface[box]
        surface[box][nearer] = distance[nearer]
        level[box][nearer] = pose.label
    return level, surface


def _reach(form: Form, pose: Pose) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the middle (from the origin) and half size of the box that holds a placed form."""
    low = np.array(form.low_xyz)
    high = low + np.array(form.distance_mm.shape[::-1]) - 1
    corners = np.array(np.meshgrid(*zip(low, high, strict=True))).reshape(3, -1).T
    placed = (corners * pose.scale_xyz) @ pose.axes.T
    return (placed.max(axis=0) + placed.min(axis=0)) / 2, (placed.max(axis=0) - placed.min(axis=0)) / 2


def _sample(form: Form, local_xyz: torch.Tensor) -> torch.Tensor:
    """Return the signed distance at points of a bone's frame; far outside beyond its lattice."""
    field = torch.from_numpy(form.distance_mm)[None, None]
    size = torch.tensor(form.distance_mm.shape[::-1], dtype=torch.float32)
    unit = 2 * (local_xyz - torch.tensor(form.low_xyz)) / (size - 1) - 1
    sampled = functional.grid_sample(field, unit[None], mode="bilinear", padding_mode="border", align_corners=True)
    outside = (unit.abs() > 1).any(dim=-1)
    return torch.where(outside, torch.full_like(sampled[0, 0], -_FAR_MM), sampled[0, 0])


def _surface_shift(level: torch.Tensor, spacing_mm: float, rng: np.random.Generator) -> torch.Tensor:
    """Return how far each bone's surface lies outside its form's: all around, of its own, and in hills."""
    own = np.zeros(256, dtype=np.float32)
    own[: len(VERTEBRAE) + 4] = rng.uniform(-0.3, 0.3) + 0.2 * rng.standard_normal(len(VERTEBRAE) + 4)
    shift = torch.from_numpy(own)[level.int()]
    return shift + float(rng.uniform(0, 0.5)) * smooth_noise(rng, tuple(level.shape), rng.uniform(5, 12) / spacing_mm)
