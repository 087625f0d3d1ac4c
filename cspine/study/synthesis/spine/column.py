"""The column of one patient: the number, position and size of its vertebrae, and how the spine bends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from cspine.core.anatomy import SACRUM, VERTEBRAE, rank, vertebra
from cspine.study.synthesis.spine.dimensions import dimensions
from cspine.study.synthesis.spine.forms import SpineForms

#: How far each level leans in a standing adult, degrees: positive where the way down goes to the back.
_LEAN = {"C1": -8, "C2": -8, "C4": 0, "C7": 17, "T2": 20, "T6": 5, "T9": -6, "T12": -12, "L1": -12, "L3": 0, "L5": 18}
_SACRUM_LEAN = 42.0
_VARIANT_SHARE = 0.06


@dataclass(frozen=True, eq=False)
class Pose:
    """Place of one bone.

    Parameters
    ----------
    label : int
        Of `cspine.core.anatomy`; 26 is the sacrum.
    origin_mm : ndarray, shape (3,)
        Middle of the body, x to the left, y to the back, z to the head.
    axes : ndarray, shape (3, 3)
        Columns: the bone's x, y and z axes.
    scale_xyz : ndarray, shape (3,)
        Size against its form.
    """

    label: int
    origin_mm: NDArray[np.float64]
    axes: NDArray[np.float64]
    scale_xyz: NDArray[np.float64]

    def point(self, x: float, y: float, z: float) -> NDArray[np.float64]:
        """Return where a point of the bone's frame lies."""
        return np.asarray(self.origin_mm + self.axes @ (self.scale_xyz * np.array([x, y, z])))

    @property
    def canal_mm(self) -> NDArray[np.float64]:
        """Return the middle of the spinal canal at this bone."""
        if self.label == SACRUM:
            return self.point(0, 22, 0)
        size = dimensions(vertebra(self.label))
        if self.label == 1:
            return self.point(0, 14, 0)
        return self.point(0, 0.425 * size.depth + size.canal[1] / 2, 0)


def sequence(rng: np.random.Generator, thoracic: int | None, lumbar: int | None) -> tuple[int, ...]:
    """Return the labels of a spine from head to foot, the sacrum last.

    Parameters
    ----------
    rng : Generator
        Draws the counts that are not given: 11 or 13 thoracic, 4 or 6 lumbar vertebrae in a few patients.
    thoracic, lumbar : int or None
        11, 12 or 13; 4, 5 or 6.
    """
    odd = 1 - 2 * _VARIANT_SHARE
    drawn = rng.choice([11, 12, 13], p=[_VARIANT_SHARE, odd, _VARIANT_SHARE])
    drawn_lumbar = rng.choice([4, 5, 6], p=[_VARIANT_SHARE, odd, _VARIANT_SHARE])
    t, n = thoracic or int(drawn), lumbar or int(drawn_lumbar)
    names = [f"C{i}" for i in range(1, 8)] + [f"T{i}" for i in range(1, t + 1)] + [f"L{i}" for i in range(1, n + 1)]
    return (*(vertebra(name).label for name in names), SACRUM)


def stand(forms: SpineForms, labels: tuple[int, ...], rng: np.random.Generator) -> tuple[Pose, ...]:
    """Return the poses of a random patient's bones; the first one stands at the origin.

    Parameters
    ----------
    forms : SpineForms
        For the room that each bone takes along the spine.
    labels : tuple of int
        From `sequence`.
    rng : Generator
        Posture, curvature and sizes.
    """
    size = rng.uniform(0.86, 1.13)
    region = {name: rng.uniform(0.94, 1.06, size=3) for name in "CTLS"}
    bend = {name: rng.uniform(0.3, 1.5) for name in "CTLS"}
    nod, pitch = rng.normal(0, 10), rng.normal(0, 4)
    sway, phase, waves = rng.uniform(0, 7), rng.uniform(0, 2 * np.pi), rng.uniform(0.6, 1.8)
    side, turn, turn_neck = rng.normal(0, 3), rng.normal(0, 4), rng.normal(0, 8)
    poses: list[Pose] = []
    place = np.zeros(3)
    before: tuple[float, NDArray[np.float64]] | None = None
    for number, label in enumerate(labels):
        letter = "S" if label == SACRUM else vertebra(label).region.value
        share = number / (len(labels) - 1)
        neck = float(np.clip(1 - number / 8, 0, 1))
        lean = pitch + nod * neck + bend[letter] * _lean(label) + rng.normal(0, 1.2)
        tilt = side + sway * np.sin(2 * np.pi * waves * share + phase) + rng.normal(0, 1.0)
        yaw = turn + turn_neck * neck + 0.3 * tilt + rng.normal(0, 1.0)
        axes = Rotation.from_euler("zyx", [yaw, tilt, lean], degrees=True).as_matrix()
        scale = size * region[letter] * rng.uniform(0.95, 1.05, size=3)
        form = forms.forms[label]
        if before is not None:
            gap, up_before = before
            place = place - gap * up_before - form.above_mm * scale[2] * axes[:, 2]
        poses.append(Pose(label, place, axes, scale))
        before = (form.below_mm * scale[2], axes[:, 2])
    return tuple(poses)


def _lean(label: int) -> float:
    if label == SACRUM:
        return _SACRUM_LEAN
    knots = [rank(vertebra(name).label) for name in _LEAN]
    return float(np.interp(rank(label), knots, list(_LEAN.values())))


def level_of(pose: Pose) -> str:
    """Return the name of a pose's level; ``"S"`` for the sacrum."""
    return "S" if pose.label == SACRUM else vertebra(pose.label).name


assert len(VERTEBRAE) == 26
