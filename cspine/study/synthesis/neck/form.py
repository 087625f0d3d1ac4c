"""The differences of one bone's form from its mesh: processes, body, arch, and the surface itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from cspine.study.synthesis.deformation import smooth_noise
from cspine.study.synthesis.neck.column import PosedBone

# Places in a bone's frame, millimetres: where the spinous process leaves the arch, where the transverse processes leave
# the body, and the back of the body. The frame is the same for all people.
_SPINOUS_Y, _TRANSVERSE_X, _BODY_Y = 24.0, 19.0, 6.0


@dataclass(frozen=True)
class FormChange:
    """Changes of one bone.

    Parameters
    ----------
    spinous_length, spinous_slope, spinous_spread : float
        Length against the form's, slope added (down where positive, mm per mm), and growth in width per millimetre.
    transverse_left, transverse_right : float
        Length of the transverse processes against the form's.
    body_height : float
        Height of the body against the form's.
    twist : float
        Turn of the spinous process to a side, mm per mm.
    offset_mm, arch_offset_mm : float
        How far the surface lies outside the form's: everywhere, and more on the arch.
    """

    spinous_length: float
    spinous_slope: float
    spinous_spread: float
    transverse_left: float
    transverse_right: float
    body_height: float
    twist: float
    offset_mm: float
    arch_offset_mm: float


def random_form(rng: np.random.Generator, label: int, strength: float, thickness_mm: float) -> FormChange:
    """Draw the changes of a bone.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    label : int
        Level: the atlas has neither body nor spinous process.
    strength : float
        0 for none, 1 for the most.
    thickness_mm : float
        How far the patient's surfaces lie outside those of the forms.
    """
    vary = rng.uniform(-1, 1, size=9) * strength
    has_body = label != 1
    return FormChange(
        spinous_length=float(np.exp(0.28 * vary[0])) if has_body else 1.0,
        spinous_slope=0.32 * float(vary[1]) * has_body,
        spinous_spread=0.02 * float(vary[2]),
        transverse_left=float(np.exp(0.16 * vary[3])),
        transverse_right=float(np.exp(0.16 * (0.6 * vary[3] + 0.4 * vary[4]))),
        body_height=float(np.exp(0.1 * vary[5])) if label > 2 else 1.0,
        twist=0.1 * float(vary[6]) * has_body,
        offset_mm=thickness_mm + 0.2 * float(vary[7]),
        arch_offset_mm=0.25 + 0.35 * float(vary[8]),
    )


def distance_to(posed: PosedBone, change: FormChange, away_xyz: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the signed distance to a bone's surface, and where the points lie in its frame.

    Parameters
    ----------
    posed : PosedBone
        The bone.
    change : FormChange
        How its form differs.
    away_xyz : Tensor of float32, shape (n, 3)
        Points, millimetres from the bone's origin, axes of the patient.

    Returns
    -------
    distance_mm : Tensor of float32, shape (n,)
        Positive inside.
    local_xyz : Tensor of float32, shape (n, 3)
        Coordinates in the bone's frame, in millimetres of the patient.
    """
    local = away_xyz @ torch.from_numpy(posed.axes).float()
    scaled = local / torch.from_numpy(posed.scale_xyz).float()
    x, y, z = scaled.unbind(dim=-1)
    behind = torch.clamp(y - _SPINOUS_Y, min=0)
    form_z = z + change.spinous_slope * behind
    form_x = (x - change.twist * behind) / (1 + change.spinous_spread * behind)
    form_y = y + behind * (1 / change.spinous_length - 1)
    side = torch.where(x > 0, 1 / change.transverse_left - 1, 1 / change.transverse_right - 1)
    form_x = form_x + torch.sign(x) * torch.clamp(x.abs() - _TRANSVERSE_X, min=0) * side
    in_body = torch.sigmoid((_BODY_Y - y) / 1.5)
    form_z = form_z * (1 + in_body * (1 / change.body_height - 1))
    distance = _sample(posed, torch.stack([form_x, form_y, form_z], dim=-1)) * float(np.cbrt(np.prod(posed.scale_xyz)))
    distance += change.offset_mm + change.arch_offset_mm * torch.sigmoid((y - _BODY_Y - 2) / 1.5)
    return distance, local


def _sample(posed: PosedBone, form_xyz: torch.Tensor) -> torch.Tensor:
    """Return the signed distance at points of a form; beyond its lattice, that of the border less the way there."""
    bone = posed.bone
    field = torch.from_numpy(bone.distance_mm)[None, None]
    size = torch.tensor(bone.distance_mm.shape[::-1], dtype=torch.float32)
    unit = 2 * (form_xyz - torch.from_numpy(bone.low_xyz).float()) / (bone.step_mm * (size - 1)) - 1
    beyond = (unit.abs() - 1).clamp(min=0) * (bone.step_mm * (size - 1) / 2)
    sampled = torch.nn.functional.grid_sample(
        field, unit[None, None, None], mode="bilinear", padding_mode="border", align_corners=True
    )
    distance: torch.Tensor = sampled[0, 0, 0, 0] - beyond.norm(dim=-1)
    return distance


def hills(shape_zyx: tuple[int, ...], spacing_mm: float, rng: np.random.Generator) -> torch.Tensor:
    """Return small hills and spurs of all surfaces of a patient, millimetres, shape (z, y, x)."""
    field = float(rng.uniform(0, 0.4)) * smooth_noise(rng, shape_zyx, rng.uniform(6, 12) / spacing_mm)
    return field + float(rng.uniform(0, 0.3)) * smooth_noise(rng, shape_zyx, rng.uniform(3, 5) / spacing_mm)
