"""A cervical spine of simple solids whose dimensions are known: what measurements are compared with.

Bodies, rings and processes are solids with a formula each, in the frame of their vertebra (left, posterior, superior;
millimetres; the origin is the centre of the body). A vertebra is placed by a pitch and a position, the spine by a
rotation, and its labels can be drawn on any grid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from cspine.core.anatomy import vertebra
from cspine.core.geometry import Grid, to_index, to_lps
from cspine.core.volumes import LabelVolume

Points = NDArray[np.float64]
Inside = NDArray[np.bool_]

#: Corners of a box that holds every vertebra, millimetres: left, posterior, superior.
_LOW_MM, _HIGH_MM = (-32.0, -24.0, -12.0), (32.0, 68.0, 28.0)
_ARCH_MM, _SPINOUS_HALF_MM = 5.0, 3.0
#: Half width of the flat front of the canal.
_FLAT_MM = 7.0


@dataclass(frozen=True)
class KnownVertebra:
    """Dimensions of a vertebra of solids, millimetres.

    Parameters
    ----------
    level : str
        C1 is a ring without a body, C2 has a dens, all others are alike.
    width, depth : float
        Of the body.
    anterior, middle, posterior : float
        Height of the body at its front edge, its centre and its back edge.
    canal, canal_width : float
        Diameters of the canal.
    spinous : float
        Length of the spinous process behind the canal.
    lateral : float
        Height of the lateral masses: with the step to a neighbour it gives the space of the facet joints.
    pitch_deg : float
        How far it leans forward.
    centre : tuple of float
        Position of its centre (left, posterior, superior) in the spine.
    """

    level: str
    width: float = 24.0
    depth: float = 16.0
    anterior: float = 12.0
    middle: float = 11.0
    posterior: float = 12.5
    canal: float = 14.0
    canal_width: float = 23.0
    spinous: float = 24.0
    lateral: float = 15.0
    pitch_deg: float = 0.0
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def height(self, y: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """Return the height of the body at a posterior coordinate: a parabola through the three heights."""
        at = np.asarray(y) * 2 / self.depth
        mean, half = (self.anterior + self.posterior) / 2, (self.posterior - self.anterior) / 2
        return np.asarray(self.middle + half * at + (mean - self.middle) * at**2)

    def height_at(self, share: float) -> float:
        """Return the height at a share of the depth from the front."""
        return float(self.height((share - 0.5) * self.depth))

    @property
    def wedge_deg(self) -> float:
        """Angle of the upper end plate to the lower one, as far as it leans backwards."""
        return float(np.degrees(2 * np.arctan((self.posterior - self.anterior) / 2 / self.depth)))

    def in_canal(self, x: NDArray[np.float64], behind: NDArray[np.float64]) -> Inside:
        """Return which points lie in the canal: an ellipse whose front is flat; ``behind`` counts from its centre."""
        ellipse = (x * 2 / self.canal_width) ** 2 + (behind * 2 / self.canal) ** 2 < 1
        front = (np.abs(x) < _FLAT_MM) & (behind <= 0) & (behind > -self.canal / 2)
        return np.asarray(ellipse | front)

    @property
    def canal_area(self) -> float:
        """Area of the canal, square millimetres."""
        step = 0.02
        x, behind = (np.arange(-size / 2 + step / 2, size / 2, step) for size in (self.canal_width, self.canal))
        return float(self.in_canal(x[None], behind[:, None]).sum()) * step**2

    def contains(self, points: Points) -> Inside:
        """Return which points of its frame, shape (n, 3), lie in the bone."""
        solids = {"C1": _atlas, "C2": _axis}.get(self.level, _typical)
        return solids(self, *points.T)


Solid = Callable[["KnownVertebra", NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]], Inside]


def _typical(v: KnownVertebra, x: Points, y: Points, z: Points) -> Inside:
    body = (np.abs(x * 2 / v.width) ** 4 + np.abs(y * 2 / v.depth) ** 4 <= 1) & (np.abs(z) <= v.height(y) / 2)
    return np.asarray(body | _arch(v, x, y, z) | _transverse(v, x, y, z) | _lateral_masses(v, x, y, z))


def _arch(v: KnownVertebra, x: Points, y: Points, z: Points) -> Inside:
    """Return the ring about the canal, whose front is the posterior wall, with the spinous process."""
    behind = y - v.depth / 2 - v.canal / 2
    hole = v.in_canal(x, behind)
    outer = (x / (v.canal_width / 2 + _ARCH_MM)) ** 2 + (behind / (v.canal / 2 + _ARCH_MM)) ** 2 <= 1
    ring = outer & ~hole & (np.abs(z) <= 4)
    tail = behind - v.canal / 2
    bar = (np.abs(x) <= 3) & (tail >= 0) & (tail <= v.spinous) & (np.abs(z) <= _SPINOUS_HALF_MM)
    return np.asarray(ring | bar)


def _transverse(v: KnownVertebra, x: Points, y: Points, z: Points) -> Inside:
    """Return the transverse processes, each with its foramen, in the upper half of the body."""
    side = np.abs(x) - v.width / 2
    plate = (side >= -2) & (side <= 12) & (np.abs(y - 2) <= 4.5) & (z >= 0) & (z <= 5)
    return np.asarray(plate & ((side - 5) ** 2 + (y - 2) ** 2 > 6))


def _lateral_masses(v: KnownVertebra, x: Points, y: Points, z: Points) -> Inside:
    side = np.abs(x) - v.canal_width / 2
    back = y - v.depth / 2
    return np.asarray((side >= 1) & (side <= 9) & (back >= 1) & (back <= 11) & (np.abs(z) <= v.lateral / 2))


def _axis(v: KnownVertebra, x: Points, y: Points, z: Points) -> Inside:
    """Return a body with a flat upper end that carries the dens, a cylinder of 10 mm about the same axis."""
    body = (np.abs(x * 2 / v.width) ** 4 + np.abs(y * 2 / v.depth) ** 4 <= 1) & (z <= v.middle / 2)
    body &= z >= -v.height(y) / 2
    dens = (x**2 + y**2 <= 25) & (z >= 0) & (z <= v.middle / 2 + 18)
    return np.asarray(body | dens | _arch(v, x, y, z) | _lateral_masses(v, x, y, z))


def _atlas(v: KnownVertebra, x: Points, y: Points, z: Points) -> Inside:
    """Return a ring about dens and canal: ``depth`` is the clear distance of its arches, ``width`` its clear width."""
    hole = (x * 2 / v.width) ** 2 + (y * 2 / v.depth) ** 2 < 1
    outer = (x / (v.width / 2 + 14)) ** 2 + (y / (v.depth / 2 + _ARCH_MM)) ** 2 <= 1
    return np.asarray(outer & ~hole & (np.abs(z) <= 5))


@dataclass(frozen=True)
class KnownSpine:
    """Vertebrae in their places, and the spine in the patient.

    Parameters
    ----------
    vertebrae : tuple of KnownVertebra
        From head to foot.
    rotation_deg : tuple of float
        Rotation about the patient's x, y and z axes.
    origin_lps : tuple of float
        Where the origin of the spine lies, millimetres (LPS).
    """

    vertebrae: tuple[KnownVertebra, ...]
    rotation_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    origin_lps: tuple[float, float, float] = (3.0, -140.0, -500.0)

    @property
    def axes_lps(self) -> NDArray[np.float64]:
        """Left, posterior and superior axis of the spine as columns, in patient coordinates."""
        return np.asarray(Rotation.from_euler("xyz", self.rotation_deg, degrees=True).as_matrix())

    def position_lps(self, level: str, points: Points) -> Points:
        """Return points of the frame of a vertebra in patient coordinates, shape (n, 3)."""
        found = next(v for v in self.vertebrae if v.level == level)
        turned = points @ _pitch(found.pitch_deg).T + np.array(found.centre)
        return np.asarray(turned @ self.axes_lps.T + np.array(self.origin_lps))

    def grid(self, spacing_xyz: tuple[float, float, float], offset: tuple[float, float, float] = (0, 0, 0)) -> Grid:
        """Return an axial grid that holds the spine, shifted by shares of a voxel."""
        corners = np.concatenate(
            [self.position_lps(v.level, _CORNERS) for v in self.vertebrae]
        )  # fmt: skip
        low, high = corners.min(axis=0), corners.max(axis=0)
        x, y, z = np.ceil((high - low) / spacing_xyz).astype(int)
        affine = np.diag([*spacing_xyz, 1.0])
        affine[:3, 3] = low + np.array(offset) * spacing_xyz
        return Grid((int(z), int(y), int(x)), affine)

    def draw(self, grid: Grid) -> LabelVolume:
        """Return the labels on a grid, which may be oblique or sheared: a voxel is bone where its centre is."""
        labels = np.zeros(grid.shape_zyx, dtype=np.uint8)
        for each in self.vertebrae:
            corners = to_index(grid.affine_lps, self.position_lps(each.level, _CORNERS))
            low = np.maximum(np.floor(corners.min(axis=0)).astype(int), 0)
            high = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 1, grid.shape_zyx[::-1])
            box = tuple(slice(a, b) for a, b in zip(low[::-1], high[::-1], strict=True))
            index = np.stack(np.meshgrid(*(np.arange(s.start, s.stop) for s in box), indexing="ij"), axis=-1)
            points = to_lps(grid.affine_lps, index.reshape(-1, 3)[:, ::-1].astype(np.float64))
            inside = each.contains(self._to_vertebra(each, points)).reshape(index.shape[:3])
            labels[box][inside & (labels[box] == 0)] = vertebra(each.level).label
        return LabelVolume(labels, grid.affine_lps)

    def _to_vertebra(self, each: KnownVertebra, points: Points) -> Points:
        in_spine = (points - np.array(self.origin_lps)) @ self.axes_lps - np.array(each.centre)
        return np.asarray(in_spine @ _pitch(each.pitch_deg))


def known_values(spine: KnownSpine) -> dict[tuple[str, str], float]:
    """Return what follows from the dimensions of a spine, by site and name of the quantity (`measurements.quantities`).

    Parameters
    ----------
    spine : KnownSpine
        A spine of C1..T1 in which C1 and C2 are not pitched.
    """
    found: dict[tuple[str, str], float] = {}
    typical = [v for v in spine.vertebrae if v.level not in ("C1", "C2")]
    for v in (v for v in spine.vertebrae if v.level != "C1"):
        found[v.level, "body_depth_mm"] = v.depth
        found[v.level, "body_width_mm"] = v.width
        found[v.level, "canal_diameter_mm"] = v.canal
        found[v.level, "canal_area_mm2"] = v.canal_area
        found[v.level, "canal_body_ratio"] = v.canal / v.depth
        found[v.level, "spinous_length_mm"] = float(np.hypot(v.spinous, _SPINOUS_HALF_MM))
    for v in typical:
        anterior, middle, posterior = (v.height_at(share) for share in (0.15, 0.5, 0.85))
        found[v.level, "body_height_anterior_mm"] = anterior
        found[v.level, "body_height_middle_mm"] = middle
        found[v.level, "body_height_posterior_mm"] = posterior
        found[v.level, "wedge_ratio"] = anterior / posterior
        found[v.level, "biconcavity_ratio"] = middle / posterior
        found[v.level, "height_loss"] = 1 - min(anterior, middle, posterior) / max(anterior, middle, posterior)
    return found | _pair_values(spine) | _column_values(spine)


def _leaning_deg(v: KnownVertebra) -> tuple[float, float]:
    """Return how far the lower and the upper end plate of a vertebra lean forward."""
    half = v.wedge_deg / 2 if v.level != "C2" else 0.0
    return v.pitch_deg - half, v.pitch_deg + half


def _pair_values(spine: KnownSpine) -> dict[tuple[str, str], float]:
    found = {}
    for upper, lower in zip(spine.vertebrae[1:], spine.vertebrae[2:], strict=False):
        site = f"{upper.level}/{lower.level}"
        found[site, "angle_deg"] = _leaning_deg(lower)[0] - _leaning_deg(upper)[0]
        found[site, "disc_angle_deg"] = _leaning_deg(lower)[1] - _leaning_deg(upper)[0]
        found[site, "translation_mm"] = _translation(upper, lower)
    return found


def _translation(upper: KnownVertebra, lower: KnownVertebra) -> float:
    """Return how far the back edge of the upper lower end plate lies before that of the lower upper one."""

    def edges(v: KnownVertebra, sign: float) -> NDArray[np.float64]:
        shares = np.linspace(0.15, 0.85, 71)
        mean = float(np.mean([v.height_at(share) for share in shares])) / 2
        slope = (v.posterior - v.anterior) / 2 / v.depth if v.level != "C2" else 0.0
        ends = np.array([[0, y, sign * (mean + slope * y)] for y in (-v.depth / 2, v.depth / 2)])
        return np.asarray(ends @ _pitch(v.pitch_deg).T + np.array(v.centre))

    above, below = edges(upper, -1.0), edges(lower, 1.0)
    backward = (below[1] - below[0]) / np.linalg.norm(below[1] - below[0])
    return float(-(above[1] - below[1]) @ backward)


def _column_values(spine: KnownSpine) -> dict[tuple[str, str], float]:
    by_level = {v.level: v for v in spine.vertebrae}
    atlas, axis, c7, t1 = (by_level[level] for level in ("C1", "C2", "C7", "T1"))
    dens = 5.0
    plate = _pitch(_leaning_deg(t1)[1])[:, 2] @ spine.axes_lps.T
    left = spine.axes_lps[:, 0]
    upright = np.array([0, 0, 1.0]) - left * left[2]
    return {
        ("column", "lordosis_cobb_deg"): _leaning_deg(c7)[0] - _leaning_deg(axis)[0],
        ("column", "lordosis_tangent_deg"): c7.pitch_deg - axis.pitch_deg,
        ("column", "atlantodental_interval_mm"): atlas.depth / 2 - atlas.centre[1] - dens,
        ("column", "t1_slope_deg"): float(np.degrees(np.arctan2(left @ np.cross(upright, plate), upright @ plate))),
        ("C1", "canal_diameter_mm"): atlas.centre[1] + atlas.depth / 2 - dens,
    }


_CORNERS = np.array(list(product(*zip(_LOW_MM, _HIGH_MM, strict=True))), dtype=float)


def _pitch(degrees: float) -> NDArray[np.float64]:
    """Return the rotation about the left axis that leans the superior axis forward."""
    return np.asarray(Rotation.from_euler("x", degrees, degrees=True).as_matrix())


def known_spine(
    pitches_deg: tuple[float, ...] = (0.0,) * 8,
    rotation_deg: tuple[float, float, float] = (0.0, 0.0, 0.0),
    *,
    step_mm: float = 17.0,
    adi_mm: float = 1.5,
) -> KnownSpine:
    """Return a spine of C1..T1 on a straight line, each vertebra with dimensions of its own.

    Parameters
    ----------
    pitches_deg : tuple of float
        How far each vertebra from C1 down leans forward.
    rotation_deg : tuple of float
        Rotation of the spine in the patient.
    step_mm : float
        Distance of the centres of neighbours from C3 down.
    adi_mm : float
        Distance of the anterior arch of C1 from the dens.
    """
    dens_radius, ring = 5.0, 30.0
    atlas_y = -dens_radius - adi_mm + ring / 2
    vertebrae = [
        KnownVertebra("C1", width=30.0, depth=ring, spinous=0.0, centre=(0.0, atlas_y, 20.0)),
        KnownVertebra("C2", 19.0, 15.0, 14.0, 14.0, 14.0, canal=16.0, spinous=18.0),
        *(_below_axis(number, step_mm) for number in range(6)),
    ]
    placed = (replace(each, pitch_deg=pitch) for each, pitch in zip(vertebrae, pitches_deg, strict=True))
    return KnownSpine(tuple(placed), rotation_deg)


def _below_axis(number: int, step_mm: float) -> KnownVertebra:
    """Return one of C3..C7 and T1, the larger the lower."""
    return KnownVertebra(
        f"C{3 + number}" if number < 5 else "T1",
        width=20.0 + number * 1.5,
        depth=14.5 + number * 0.5,
        anterior=12.0 - number * 0.3,
        middle=11.0 + number * 0.2,
        posterior=12.5,
        canal=13.0 + number * 0.3,
        spinous=15.0 + number * 5,
        centre=(0.0, 0.0, -(number + 1) * step_mm),
    )
