"""Fixed sets of cases for evaluation: ordinary necks, hard ones, vessels full of contrast medium, and worn joints.

Their seeds are no training seeds, and their images come from another scanner (`synthesis.reconstruction`) than
training images do. A case is its seed: nothing else decides what it shows. `ordinary` and `hard` are necks of the label
atlas; `angio` and `worn` have the bones of a person whom training never shows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import fft
from scipy.spatial.transform import Rotation

from cspine.core.anatomy import CERVICAL_LEVELS
from cspine.core.errors import AtlasError
from cspine.core.geometry import Grid
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.study.synthesis import devices
from cspine.study.synthesis.atlas import Atlas
from cspine.study.synthesis.case import CaseSettings, synthesize_case
from cspine.study.synthesis.deformation import Posture, random_posture
from cspine.study.synthesis.neck.case import NeckSettings, synthesize_neck
from cspine.study.synthesis.neck.people import EVALUATION_PEOPLE, People
from cspine.study.synthesis.neck.tubes import Contrast
from cspine.study.synthesis.projection import Dose, metal, starvation
from cspine.study.synthesis.reconstruction import KERNELS, Reconstruction, reconstruct
from cspine.study.synthesis.set_names import ARTICULATED, SETS
from cspine.study.synthesis.tissue import Anatomy

#: Seeds of a set.
MAX_CASES = 10_000
#: Grows when the same seed gives another case.
EDITION = 1

#: What can make a case hard; case n of the hard set has at least number n of them, modulo their count.
PERTURBATIONS = (
    "photon starvation", "dental metal", "cut field of view", "thick slices", "strong noise", "devices",
    "dense contrast", "thin bone", "motion", "posture", "screws",
)  # fmt: skip

_VOLTAGES = (0.86, 1.0, 1.13, 1.3)
_ANGIO = Contrast(filled=1.0, strong=True, calcified=1.0, ossified=1.0)
_PEOPLE_ADVICE = "Give `anatomies` the folder that holds one folder per person."
_MAX_VOXELS = 14e6
_METAL_IN_IMAGE_HU = 5000.0


@dataclass(frozen=True)
class SetCase:
    """One case of a set, before it is drawn.

    Parameters
    ----------
    set_name : str
        A key of `SETS`.
    seed : int
        Its seed.
    spacing_xyz, extent_xyz_mm, offset_xyz_mm : tuple of float
        Grid of the result and where it lies, as in `CaseSettings`.
    posture : Posture or None
        The patient's anatomy; None in sets of articulated necks.
    reconstruction : Reconstruction
        Kernel, slices and noise.
    voltage_factor : float
        HU of bone and contrast against those at 120 kVp.
    perturbations : tuple of str
        Of `PERTURBATIONS`.
    """

    set_name: str
    seed: int
    spacing_xyz: tuple[float, float, float]
    extent_xyz_mm: tuple[float, float, float]
    offset_xyz_mm: tuple[float, float, float]
    posture: Posture | None
    reconstruction: Reconstruction
    voltage_factor: float
    perturbations: tuple[str, ...]

    @property
    def name(self) -> str:
        """Return the stem of the case's files."""
        return f"{self.set_name}_{self.seed}"

    @property
    def settings(self) -> CaseSettings:
        """Return the case for `synthesize_case`."""
        internal = float(np.clip(min(self.spacing_xyz), 0.85, 0.95))
        return CaseSettings(
            self.spacing_xyz,
            self.extent_xyz_mm,
            complete_neck=True,
            internal_mm=internal,
            posture=self.posture,
            offset_xyz_mm=self.offset_xyz_mm,
            imaging=self.image,
        )

    @property
    def neck_settings(self) -> NeckSettings:
        """Return the case for `synthesize_neck`."""
        rng = np.random.default_rng([self.seed, 3])
        angio = self.set_name == "angio"
        return NeckSettings(
            self.spacing_xyz,
            internal_mm=float(np.clip(min(self.spacing_xyz), 0.6, 0.7)),
            view="neck",
            extent_xyz_mm=self.extent_xyz_mm,
            worn=float(rng.uniform(0.0, 0.3)) if angio else float(rng.uniform(0.85, 1.0)),
            contrast=_ANGIO if angio else Contrast(),
            person=EVALUATION_PEOPLE[0],
            offset_xyz_mm=self.offset_xyz_mm,
            imaging=self.image,
        )

    def image(self, hu: torch.Tensor, anatomy: Anatomy, fine: Grid, target: Grid) -> torch.Tensor:
        """Make the image of this case from its perfect one (`cspine.study.synthesis.case.Imaging`)."""
        rng = np.random.default_rng([self.seed, 2])
        added_metal = self._add(hu, anatomy, rng)
        visible = hu if added_metal is None else torch.clamp(hu + added_metal, max=_METAL_IN_IMAGE_HU)
        image = reconstruct(visible, fine, target, self.reconstruction)
        if "motion" in self.perturbations:
            image = _move(image, target, rng)
        if "photon starvation" in self.perturbations:
            dose = Dose(float(np.exp(rng.uniform(np.log(5e3), np.log(3e4)))))
            image += starvation(hu, fine, target, dose, rng)
        if added_metal is not None:
            change = metal(hu, added_metal, fine, target, Dose(float(rng.uniform(2e4, 1e5))), rng)
            image += torch.where(image > 2500, change.clamp(min=0), change)
        return torch.clamp(image, -1024, 3071)

    def _add(self, hu: torch.Tensor, anatomy: Anatomy, rng: np.random.Generator) -> torch.Tensor | None:
        """Draw what the patient has into the perfect image, in place; return the metal's part of it."""
        if "thin bone" in self.perturbations:
            devices.osteopenic_bone(hu, anatomy, rng)
        if "dense contrast" in self.perturbations:
            devices.fill_vessels(hu, anatomy, float(rng.uniform(450, 850)))
        devices.change_voltage(hu, self.voltage_factor)
        if "devices" in self.perturbations:
            chosen = rng.choice(3, size=int(rng.integers(1, 4)), replace=False)
            if 0 in chosen:
                devices.add_collar(hu, anatomy.spacing_mm, rng)
            if 1 in chosen:
                devices.add_tubes(hu, anatomy, rng)
            if 2 in chosen:
                devices.add_head_holder(hu, anatomy.spacing_mm, rng)
        if rng.random() < 0.6:
            devices.add_table(hu, anatomy.spacing_mm, rng)
        added = None
        if "dental metal" in self.perturbations:
            added = devices.dental_metal(anatomy, rng)
        if "screws" in self.perturbations:
            part = devices.screws(anatomy, rng)
            added = part if added is None else torch.maximum(added, part)
        return added


def set_case(set_name: str, number: int) -> SetCase:
    """Return a case of a set, from 0 on; it depends on nothing else.

    Parameters
    ----------
    set_name : str
        A key of `SETS`.
    number : int
        Below `MAX_CASES`.
    """
    seed = SETS[set_name] + number
    rng = np.random.default_rng([seed, 1])
    if set_name in ARTICULATED:
        return _articulated_case(set_name, seed, rng)
    perturbations = _perturbations(rng, number) if set_name == "hard" else ()
    posture = random_posture(rng)
    if "posture" in perturbations:
        posture = _extreme(posture, rng)
    kernel = KERNELS[str(rng.choice(list(KERNELS)))]
    thickness, increment = _slices(rng, "thick slices" in perturbations)
    noise = _noise(rng, kernel.name)
    if "strong noise" in perturbations:
        noise = (
            float(rng.uniform(70, 130)) * (1.5 if kernel.name == "sharp" else 1.0) * min(1.0, (2 / thickness) ** 0.5)
        )
    reconstruction = Reconstruction(kernel, thickness, float(rng.uniform(0, 0.8)), noise, seed)
    extent, offset = _field_of_view(rng, posture, perturbations)
    spacing = _pixels(rng, extent, increment)
    x, y, z = (_fast_length(length, step) for length, step in zip(extent, spacing, strict=True))
    voltage = float(rng.choice(_VOLTAGES))
    return SetCase(set_name, seed, spacing, (x, y, z), offset, posture, reconstruction, voltage, perturbations)


def _articulated_case(set_name: str, seed: int, rng: np.random.Generator) -> SetCase:
    kernel = KERNELS[str(rng.choice(list(KERNELS)))]
    thickness, increment = _slices(rng, False)
    reconstruction = Reconstruction(kernel, thickness, float(rng.uniform(0, 0.8)), _noise(rng, kernel.name), seed)
    width = float(rng.uniform(135, 190))
    extent = (width, max(width, 150.0), float(rng.uniform(205, 235)))
    # Lower than the middle of the bodies: the spinous process of T1 reaches far down.
    offset = (float(rng.normal(0, 6)), float(rng.normal(0, 4)), float(rng.normal(-12, 3)))
    spacing = _pixels(rng, extent, increment)
    x, y, z = (_fast_length(length, step) for length, step in zip(extent, spacing, strict=True))
    voltage = float(rng.choice(_VOLTAGES))
    return SetCase(set_name, seed, spacing, (x, y, z), offset, None, reconstruction, voltage, ())


def synthesize_set_case(atlas: Atlas, case: SetCase, people: People | None = None) -> tuple[CtVolume, LabelVolume]:
    """Make the CT of a case with its labels, as `synthesize_case` or `synthesize_neck` does.

    Parameters
    ----------
    atlas : Atlas
        From `cspine.study.synthesis.atlas.load_atlas`.
    case : SetCase
        From `set_case`.
    people : People, optional
        Everybody's vertebrae; those that training never shows are taken. Sets of articulated necks need them.

    Raises
    ------
    AtlasError
        If the set needs people who are not there.
    """
    if case.set_name not in ARTICULATED:
        return synthesize_case(atlas, case.seed, case.settings)
    if people is None:
        raise AtlasError(f"the set {case.set_name} needs the vertebrae of several people", advice=_PEOPLE_ADVICE)
    return synthesize_neck(atlas, people.chosen(evaluation=True), case.seed, case.neck_settings)


def describe(case: SetCase, labels: LabelVolume) -> dict[str, str]:
    """Return the row of a case in the table of its set."""
    inside = set(np.unique(labels.labels_zyx).tolist())
    levels = [level.name for level in CERVICAL_LEVELS if level.label in inside]
    reconstruction = case.reconstruction
    return {
        "case": case.name,
        "set": case.set_name,
        "seed": str(case.seed),
        "spacing_mm": " ".join(f"{step:g}" for step in case.spacing_xyz),
        "thickness_mm": f"{reconstruction.thickness_mm:g}",
        "kernel": reconstruction.kernel.name,
        "noise_hu": f"{reconstruction.noise_hu:.0f}",
        "voltage_factor": f"{case.voltage_factor:g}",
        "hard_because": "; ".join(case.perturbations),
        "levels": " ".join(levels),
    }


def _noise(rng: np.random.Generator, kernel: str) -> float:
    """Return the noise in the middle of a neck, HU."""
    return float(np.exp(rng.uniform(np.log(6), np.log(22)))) * {"smooth": 0.8, "standard": 1.2, "sharp": 2.5}[kernel]


def _perturbations(rng: np.random.Generator, number: int) -> tuple[str, ...]:
    first = PERTURBATIONS[number % len(PERTURBATIONS)]
    more = rng.choice(len(PERTURBATIONS), size=int(rng.integers(0, 3)), replace=False)
    chosen = {first, *(PERTURBATIONS[int(k)] for k in more)}
    return tuple(name for name in PERTURBATIONS if name in chosen)


def _slices(rng: np.random.Generator, thick: bool) -> tuple[float, float]:
    """Return the thickness and increment in millimetres, none of which training uses; some overlap, none has gaps."""
    if thick:
        return 4.5, float(rng.choice([4.5, 2.6, 3.5]))
    pairs = ((0.75, 0.75), (0.9, 0.7), (1.5, 0.8), (1.5, 1.5), (1.8, 0.9), (1.8, 1.8), (2.2, 1.1), (2.2, 2.2))
    thickness, increment = pairs[int(rng.integers(len(pairs)))]
    return thickness, increment


def _field_of_view(
    rng: np.random.Generator, posture: Posture, perturbations: tuple[str, ...]
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return the size of the field of view and how far it lies from the middle of the neck, millimetres."""
    width, depth = float(rng.uniform(135, 200)), float(rng.uniform(158, 200))
    if rng.random() < 0.7:
        width = depth = max(width, depth)
    if "photon starvation" in perturbations:
        width, depth = float(rng.uniform(135, 170)), float(rng.uniform(158, 175))
    height = 135.0 * float(posture.scale_xyz[2]) + float(rng.uniform(38, 65))
    aside = [float(rng.normal(0, 6)), float(rng.normal(6, 4)), float(rng.normal(0, 3))]
    if "cut field of view" in perturbations:
        where = int(rng.integers(4))
        if where < 2:
            lost = float(rng.uniform(35, 85))
            height -= lost
            aside[2] += lost / 2 if where == 0 else -lost / 2
        if where == 2:
            width = depth = float(rng.uniform(62, 95))
        if where == 3:
            aside[0] += (width / 2 - float(rng.uniform(2, 18))) * float(rng.choice([-1, 1]))
    elif "posture" not in perturbations and perturbations and rng.random() < 0.45:
        lost = float(rng.uniform(25, 75))
        height -= lost
        aside[2] += lost / 2 * float(rng.choice([-1, 1]))
    return (width, depth, height), (aside[0], aside[1], aside[2])


def _pixels(
    rng: np.random.Generator, extent_xyz_mm: tuple[float, float, float], increment_mm: float
) -> tuple[float, float, float]:
    """Return the voxel size: square pixels of 0.35 to 0.9 mm, no finer than an affordable number of voxels allows."""
    width, depth, height = extent_xyz_mm
    slices = height / increment_mm
    finest = float(np.sqrt(width * depth * slices / _MAX_VOXELS))
    pixel = float(np.clip(rng.uniform(0.35, 0.9), min(finest, 0.9), 0.9))
    pixel = round(pixel + 0.0005, 3)
    return pixel, pixel, increment_mm


def _fast_length(length_mm: float, step_mm: float) -> float:
    """Return the nearest length that is a fast number of steps."""
    count = max(2, round(length_mm / step_mm))
    return float(fft.next_fast_len(count, real=True) if step_mm < 0.95 else count) * step_mm


def _extreme(posture: Posture, rng: np.random.Generator) -> Posture:
    """Bend, turn or tilt further than training does."""
    pitch = float(rng.uniform(22, 34)) * float(rng.choice([-1, 1]))
    roll = float(rng.uniform(-20, 20))
    yaw = float(rng.uniform(15, 32)) * float(rng.choice([-1, 1]))
    if rng.random() < 0.5:
        pitch *= 0.4
    bend = posture.bend_mm.copy()
    bend[1, 0] = float(rng.uniform(9, 15)) * float(rng.choice([-1, 1]))
    rotation = Rotation.from_euler("xyz", [pitch, roll, yaw], degrees=True).as_matrix()
    return replace(posture, rotation=rotation, bend_mm=bend)


def _move(hu_zyx: torch.Tensor, target: Grid, rng: np.random.Generator) -> torch.Tensor:
    """Mix slices with themselves shifted: the patient moved or swallowed while a stretch of them was measured."""
    slices = len(hu_zyx)
    x_mm, y_mm, z_mm = target.spacing_xyz
    z = torch.arange(slices) * z_mm
    share = torch.zeros(slices)
    for _ in range(int(rng.integers(1, 4))):
        centre, reach = float(rng.uniform(0.15, 0.85)) * slices * z_mm, float(rng.uniform(8, 30))
        share = torch.maximum(share, 0.45 * torch.clamp(1.3 - (z - centre).abs() / reach, 0, 1))
    angle, far = float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(1.5, 4.0))
    shift = round(far * np.sin(angle) / y_mm), round(far * np.cos(angle) / x_mm)
    if shift == (0, 0):
        shift = (1, 0)
    moved = torch.roll(hu_zyx, shift, dims=(1, 2))
    return hu_zyx + share[:, None, None] * (moved - hu_zyx)
