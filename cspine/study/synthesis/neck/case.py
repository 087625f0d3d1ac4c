"""One synthetic CT of a neck with its labels: bones of several people, posed one by one, and what lies around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from cspine.core.geometry import Grid
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.study.synthesis import atlas as tissues
from cspine.study.synthesis.atlas import Atlas
from cspine.study.synthesis.case import (
    Imaging,
    centred_grid,
    mirrored_at_borders,
    resample,
    sample_field,
    sample_tissue,
    through_scanner,
)
from cspine.study.synthesis.deformation import smooth_noise
from cspine.study.synthesis.meshes import Points
from cspine.study.synthesis.neck.bones import BoneFields, bone_fields
from cspine.study.synthesis.neck.column import PosedBone, random_column
from cspine.study.synthesis.neck.form import FormChange, hills, random_form
from cspine.study.synthesis.neck.nearby import STEP, PointGrid
from cspine.study.synthesis.neck.people import ATLAS_PERSON, People
from cspine.study.synthesis.neck.soft_tissue import Stance, atlas_points, column_points
from cspine.study.synthesis.neck.tubes import Contrast, Tube, draw_tubes, random_ligament, random_plate, random_vessels
from cspine.study.synthesis.neck.wear import DISC, Joints, random_joints, values_at
from cspine.study.synthesis.scanner import Acquisition, random_scan
from cspine.study.synthesis.tissue import Anatomy, draw_hu

#: Raised where a seed gives another case than before.
EDITION = 2
_NOTHING_HU = -1020.0
_BLANK_HU = (-1024.0, -1000.0, 0.0)
_GAS_HU = -750.0


@dataclass(frozen=True)
class NeckSettings:
    """What to draw.

    Parameters
    ----------
    spacing_xyz : tuple of float
        Voxel size of the result in millimetres.
    internal_mm : float
        Voxel size at which the image is drawn before it is scanned.
    view : str
        ``"neck"`` for C1..T1 in the middle, ``"close_up"`` for a small field of view around one vertebra,
        ``"anywhere"`` for any field of view around the neck.
    extent_xyz_mm : tuple of float, optional
        Size of the field of view; random if omitted.
    worn : float, optional
        Probability that a joint is worn; random if omitted.
    contrast : Contrast
        What is bright beside the bones.
    person : str, optional
        Whose bones are used, completed from others; random if omitted.
    blank : float
        Probability that the image is blank above or below some level.
    scan : Acquisition, optional
        The acquisition; random if omitted.
    coarse_share : float
        Share of the random acquisitions that were stored at coarse pixels.
    offset_xyz_mm : tuple of float
        Moves the field of view.
    imaging : callable, optional
        Another scanner in place of `cspine.study.synthesis.scanner`.
    """

    spacing_xyz: tuple[float, float, float] = (2.0, 2.0, 2.0)
    internal_mm: float = 1.0
    view: str = "anywhere"
    extent_xyz_mm: tuple[float, float, float] | None = None
    worn: float | None = None
    contrast: Contrast = field(default_factory=Contrast)
    person: str | None = None
    blank: float = 0.0
    scan: Acquisition | None = None
    coarse_share: float = 0.25
    offset_xyz_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    imaging: Imaging | None = None


@dataclass(frozen=True, eq=False)
class Patient:
    """One patient before the scan.

    Parameters
    ----------
    bones : tuple of (PosedBone, FormChange)
        The column, head to foot.
    joints : Joints
        Between its bones.
    tubes : tuple of Tube
        Vessels, ligaments, metal.
    stance : Stance
        How the patient lies.
    """

    bones: tuple[tuple[PosedBone, FormChange], ...]
    joints: Joints
    tubes: tuple[Tube, ...]
    stance: Stance

    @property
    def column(self) -> tuple[PosedBone, ...]:
        """Return the bones without their forms' changes."""
        return tuple(posed for posed, _ in self.bones)


def synthesize_neck(
    atlas: Atlas, people: People, seed: int, settings: NeckSettings | None = None
) -> tuple[CtVolume, LabelVolume]:
    """Make a CT with its labels.

    Parameters
    ----------
    atlas : Atlas
        Soft tissue, from `cspine.study.synthesis.atlas.load_atlas`.
    people : People
        Vertebrae, from `cspine.study.synthesis.neck.people.load_people`.
    seed : int
        The same seed and settings give the same case.
    settings : NeckSettings, optional
        A training case at 2 mm if omitted.

    Returns
    -------
    ct : CtVolume
        int16 HU, axes to L, P, S.
    labels : LabelVolume
        Every vertebra in view, on the same grid. A voxel belongs to the vertebra whose surface, the steepest edge of
        its cortical bone, holds the voxel's centre.
    """
    settings = settings or NeckSettings()
    rng = np.random.default_rng(seed)
    patient = random_patient(people, rng, settings)
    imaging = settings.imaging or through_scanner(settings.scan or random_scan(rng, settings.coarse_share))
    centre, extent = _field_of_view(patient.column, rng, settings)
    fine, target = centred_grid(extent, (settings.internal_mm,) * 3), centred_grid(extent, settings.spacing_xyz)

    points = column_points(fine, centre, patient.stance)
    where = PointGrid(points, settings.internal_mm)
    fields = bone_fields(fine, points, patient.bones, patient.joints, _hills(patient, where, rng))
    anatomy = _anatomy(atlas, people, patient, points, fields, fine, rng)
    hu = draw_hu(anatomy, rng)
    _ossify_cartilage(hu, anatomy, fields, rng, settings.contrast.ossified)
    _wear(hu, anatomy, fields, patient.joints, rng)
    draw_tubes(hu, where, patient.tubes, _free(hu, anatomy))
    hu = imaging(hu, anatomy, fine, target)
    surface = resample(torch.clamp(fields.surface_mm, -3, 3), fine, target)
    level = resample(fields.level.float(), fine, target, mode="nearest")
    labels = torch.where((surface > 0) & (hu > _NOTHING_HU), level, torch.zeros_like(level)).to(torch.uint8)
    if rng.random() < settings.blank:
        end_image(hu, labels, rng)
    ct = CtVolume(hu.round().to(torch.int16).numpy(), target.affine_lps)
    return ct, LabelVolume(labels.numpy(), target.affine_lps)


def random_patient(people: People, rng: np.random.Generator, settings: NeckSettings) -> Patient:
    """Draw a patient: whose bones, how they stand, their wear, vessels, and in a few metal."""
    column = random_column(people, rng, settings.person)
    strength, thickness = rng.uniform(0.2, 1.0), rng.uniform(-0.1, 0.55)
    bones = []
    for posed in column:
        # The atlas's bones are unusually thin and small.
        thin = rng.uniform(0.0, 0.5) if posed.person == ATLAS_PERSON and posed.label <= 8 else 0.0
        bones.append((posed, random_form(rng, posed.label, strength, thickness + thin)))
    worn = settings.worn if settings.worn is not None else float(rng.choice([0.0, 0.25, 0.6], p=[0.35, 0.35, 0.3]))
    joints = random_joints(rng, worn)
    tubes = random_vessels(column, rng, settings.contrast)
    if rng.random() < 0.2:
        tubes += random_ligament(column, rng)
    if rng.random() < 0.04:
        tubes += random_plate(column, rng)
    pitch, roll, yaw = rng.uniform(-20, 20), rng.uniform(-10, 10), rng.uniform(-14, 14)
    wide, narrow = float(rng.uniform(28, 50)), float(rng.uniform(12, 20))
    elastic = ((wide, wide * float(rng.uniform(0, 0.06))), (narrow, narrow * float(rng.uniform(0, 0.035))))
    rotation = Rotation.from_euler("xyz", [pitch, roll, yaw], degrees=True).as_matrix()
    return Patient(tuple(bones), joints, tuple(tubes), Stance(rotation, elastic, int(rng.integers(2**31))))


def _field_of_view(
    column: Sequence[PosedBone], rng: np.random.Generator, settings: NeckSettings
) -> tuple[Points, Points]:
    """Return the centre in the column's frame and size (x, y, z) of the scan, millimetres."""
    neck = np.mean([bone.origin_mm for bone in column if bone.label <= 8], axis=0)
    if settings.extent_xyz_mm is not None:
        extent = np.array(settings.extent_xyz_mm, dtype=np.float64)
    elif settings.view == "neck":
        extent = np.array([rng.uniform(140, 230), rng.uniform(140, 220), rng.uniform(190, 250)])
    elif settings.view == "close_up":
        extent = rng.uniform([80, 80, 64], [102, 104, 88])
    else:
        extent = rng.uniform(110, 240, size=3)
        if rng.random() < 0.25:
            extent[0] = rng.uniform(240, 370)
        if rng.random() < 0.15:
            extent[2] = rng.uniform(240, 300)
    if settings.view == "neck":
        centre = neck + np.array([rng.normal(0, 5), rng.normal(2, 5), rng.normal(0, 5)])
    elif settings.view == "close_up":
        bone = column[int(rng.integers(10))]
        # The centre of the complete vertebra with its arch lies behind that of its body.
        centre = bone.point(0, 12, 0) + rng.uniform([-22, -22, -14], [22, 22, 14])
    else:
        centre = neck + np.array([rng.normal(0, 25), rng.uniform(-45, 35), rng.uniform(-120, 85)])
    return centre + np.array(settings.offset_xyz_mm), extent


def _hills(patient: Patient, where: PointGrid, rng: np.random.Generator) -> torch.Tensor:
    """Small hills everywhere, and osteophytes at the rims of worn discs, millimetres of surface."""
    field = hills(where.points_xyz.shape[:3], where.spacing_mm, rng)
    by_label = {posed.label: posed for posed in patient.column}
    for label in range(2, 9):
        if patient.joints.growth_mm[label, DISC] <= 0:
            continue
        for _ in range(int(rng.integers(1, 5))):
            # The rim of an end plate: in front, or the uncinate processes at its sides.
            in_front = rng.random() < 0.7
            angle = rng.uniform(-np.pi, 0) if in_front else rng.choice([0.0, np.pi]) + rng.normal(0, 0.2)
            lower = rng.random() < 0.5
            bone = by_label[label + 1] if lower else by_label[label]
            spot = bone.point(9.5 * np.cos(angle), 8.5 * np.sin(angle), 6.0 if lower else -6.0)
            high, wide = float(rng.uniform(0.8, 3.5)), float(rng.uniform(2.0, 4.5))
            _bump(field, where, spot, high, wide)
    return field


def _bump(field: torch.Tensor, where: PointGrid, spot: Points, high_mm: float, wide_mm: float) -> None:
    """Add a round hill to a field, in place."""
    middle = torch.from_numpy(spot).float()
    reach = 2.5 * wide_mm + STEP * where.spacing_mm
    box = where.box((where.sparse_xyz - middle).norm(dim=-1) < reach)
    if box is not None:
        field[box] += high_mm * torch.exp(-0.5 * ((where.points_xyz[box] - middle).norm(dim=-1) / wide_mm) ** 2)


def _anatomy(
    atlas: Atlas,
    people: People,
    patient: Patient,
    points: torch.Tensor,
    fields: BoneFields,
    grid: Grid,
    rng: np.random.Generator,
) -> Anatomy:
    """Sample the atlas's soft tissue and other bones around the vertebrae."""
    where = mirrored_at_borders(atlas_points(points, patient.column, atlas, people.atlas))
    tissue, other, is_air = sample_tissue(atlas, where)
    other = torch.minimum(other, -fields.surface_mm - 0.8)
    tissue[tissue == tissues.DISC] = tissues.MUSCLE
    between = (fields.upper > 1) & (fields.joint == DISC) & (fields.surface_mm < 0)
    tissue[between & (fields.neighbour_mm > -5.5)] = tissues.DISC
    facet = (fields.upper > 0) & (fields.joint != DISC) & (fields.surface_mm < 0) & (fields.neighbour_mm > -2.5)
    tissue[facet] = tissues.CARTILAGE
    # No air right at a bone, wherever another person's bone has come to lie.
    near = is_air & (fields.surface_mm > -2.0)
    tissue[near] = tissues.MUSCLE
    anatomy = Anatomy(tissue, fields.level, fields.surface_mm, other, grid.spacing_xyz[0])
    centre_y = float(np.mean([bone.origin_mm[1] for bone in patient.column if bone.label <= 8]))
    _slim_nape(anatomy, sample_field(atlas.depth_mm, where, "bilinear"), points[..., 1] - centre_y - 8.0, rng)
    return anatomy


def _slim_nape(anatomy: Anatomy, depth_mm: torch.Tensor, behind_mm: torch.Tensor, rng: np.random.Generator) -> None:
    """Remove tissue below the skin behind the column in most patients, and add the skin itself, in place.

    The atlas's nape is thick: with it alone, skin never lies close behind a spinous process.
    """
    tissue = anatomy.tissue
    removed = torch.zeros_like(depth_mm)
    if rng.random() < 0.6:
        varied = 1 + 0.3 * smooth_noise(rng, anatomy.shape, 40 / anatomy.spacing_mm)
        removed = float(rng.uniform(0, 16)) * varied * torch.clamp(behind_mm / 25, 0, 1)
    below = tissue > 0
    away = below & (depth_mm < removed) & (anatomy.vertebra_mm < -float(rng.uniform(4, 12)))
    skin = below & ~away & (depth_mm < removed + float(rng.uniform(1.0, 3.0))) & (tissue == tissues.FAT)
    tissue[away] = 0
    tissue[skin] = tissues.MUSCLE


def _free(hu: torch.Tensor, anatomy: Anatomy) -> torch.Tensor:
    """Return the share of each voxel that a vessel may fill: neither bone nor air."""
    bone = torch.clamp(torch.maximum(anatomy.vertebra_mm, anatomy.other_bone_mm) / anatomy.spacing_mm + 0.5, 0, 1)
    return (1 - bone) * (hu > -300)


def _wear(hu: torch.Tensor, anatomy: Anatomy, fields: BoneFields, joints: Joints, rng: np.random.Generator) -> None:
    """Dense bone beside worn joints, gas in some of them, in place."""
    near = fields.upper > 0
    if not bool(near.any()):
        return
    row, column = fields.upper[near], fields.joint[near]
    own, other = fields.surface_mm[near], fields.neighbour_mm[near]
    values = hu[near]
    share = values_at(joints.sclerosis, row, column) * torch.clamp(own / anatomy.spacing_mm + 0.5, 0, 1)
    share *= torch.sigmoid((values_at(joints.sclerosis_mm, row, column) + other) / 0.6)
    patchy = 1 + 0.25 * smooth_noise(rng, anatomy.shape, 5 / anatomy.spacing_mm)[near]
    dense = values_at(joints.sclerosis_hu, row, column) * patchy
    values += share * torch.clamp(dense - values, min=0)
    gas = (values_at(joints.vacuum, row, column) > 0) & (own < -0.2) & (other < -0.2) & (own + other > -4.0)
    hollow = smooth_noise(rng, anatomy.shape, 4 / anatomy.spacing_mm)[near] > 0.2
    values[gas & hollow] = _GAS_HU
    hu[near] = values


def _ossify_cartilage(
    hu: torch.Tensor, anatomy: Anatomy, fields: BoneFields, rng: np.random.Generator, share: float
) -> None:
    """Turn parts of the larynx's cartilage into bone in a share of the patients, in place."""
    if rng.random() < 1 - share:
        return
    larynx = (anatomy.tissue == tissues.CARTILAGE) & (fields.upper == 0)
    if not bool(larynx.any()):
        return
    patches = smooth_noise(rng, anatomy.shape, rng.uniform(4, 10) / anatomy.spacing_mm)
    dense = larynx & (patches > rng.uniform(-1.5, 1.2))
    hu[dense] = float(rng.uniform(200, 900)) * (1 + 0.2 * patches[dense])


def end_image(hu: torch.Tensor, labels: torch.Tensor, rng: np.random.Generator) -> None:
    """Let an image end within the field of view, below or above some level, in place.

    Parameters
    ----------
    hu, labels : Tensor, shape (z, y, x)
        Image and its labels, z up; an image without labels stays as it is.
    rng : Generator
        Of the level, the slice and the value beyond it.
    """
    levels = [int(v) for v in torch.unique(labels) if v]
    if not levels:
        return
    rows = torch.nonzero((labels == int(rng.choice(levels))).any(dim=2).any(dim=1)).flatten()
    end = int(rows[int(rng.integers(len(rows)))])
    part = slice(0, end) if rng.random() < 0.8 else slice(end, len(hu))
    hu[part] = float(rng.choice(_BLANK_HU))
    labels[part] = 0
