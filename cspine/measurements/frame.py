"""The axes of a vertebra (left, posterior, superior) and its mask sampled along them.

Everything that is measured on a vertebra is measured on this grid, so that nothing depends on the orientation, the
spacing or the shear of the array that the labels came in.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize

from cspine.core.geometry import Grid, make_affine, resample_linear, to_index, to_lps
from cspine.core.shape import LevelShape
from cspine.core.volumes import LabelVolume

Vector = NDArray[np.float64]
Points = NDArray[np.float64]

#: Margin of the sampled region about a vertebra, millimetres.
_MARGIN_MM = 3.0
#: Blur of the mask for the search of its plane of symmetry, millimetres: wide enough to guide it.
_SYMMETRY_BLUR_MM = 1.5
_SYMMETRY_POINTS = 3000
#: A head is turned at most this far against the table, degrees; and the step of the first search.
_MAX_TURN_DEG, _TURN_STEP_DEG = 40.0, 20.0


@dataclass(frozen=True, eq=False)
class Frame:
    """Axes of a vertebra in patient coordinates.

    Parameters
    ----------
    origin_lps : ndarray, shape (3,)
        A point in the plane of symmetry, millimetres (LPS).
    left, posterior, superior : ndarray, shape (3,)
        Unit vectors of a right-handed system.
    """

    origin_lps: Vector
    left: Vector
    posterior: Vector
    superior: Vector

    def to_lps(self, points: Points) -> Points:
        """Return points of the frame (left, posterior, superior), shape (n, 3), in patient coordinates.

        Parameters
        ----------
        points : ndarray, shape (n, 3)
            Left, posterior and superior coordinates, millimetres.

        Returns
        -------
        ndarray, shape (n, 3)
            Millimetres in LPS.
        """
        return np.asarray(points @ np.stack([self.left, self.posterior, self.superior]) + self.origin_lps)

    def from_lps(self, points: Points) -> Points:
        """Return points in patient coordinates, shape (n, 3), in this frame.

        Parameters
        ----------
        points : ndarray, shape (n, 3)
            Millimetres in LPS.

        Returns
        -------
        ndarray, shape (n, 3)
            Left, posterior and superior coordinates, millimetres.
        """
        return np.asarray((points - self.origin_lps) @ np.stack([self.left, self.posterior, self.superior]).T)

    def pitched(self, radians: float) -> Frame:
        """Return the frame turned about its left axis; a positive angle leans its superior axis forward.

        Parameters
        ----------
        radians : float
            The angle.
        """
        sine, cosine = np.sin(radians), np.cos(radians)
        superior = cosine * self.superior - sine * self.posterior
        return Frame(self.origin_lps, self.left, np.cross(superior, self.left), superior)

    def grid(self, low: Vector, high: Vector, step_mm: float) -> Grid:
        """Return a grid along the axes between two corners (left, posterior, superior), both included.

        Parameters
        ----------
        low, high : ndarray, shape (3,)
            Opposite corners in the frame, millimetres; the last samples may lie up to a step beyond ``high``.
        step_mm : float
            Distance of samples along each axis.
        """
        counts = np.maximum(np.ceil((high - low) / step_mm - 1e-6).astype(int) + 1, 1)
        axes = np.stack([self.left, self.posterior, self.superior], axis=1)
        affine = make_affine(axes, (step_mm, step_mm, step_mm), self.to_lps(low[None])[0])
        return Grid((int(counts[2]), int(counts[1]), int(counts[0])), affine)


@dataclass(frozen=True, eq=False)
class Bone:
    """The mask of one vertebra, cut out of the labels.

    Parameters
    ----------
    mask_zyx : ndarray of float32, shape (z, y, x)
        1 in the vertebra, else 0, with a border of zeros.
    grid : Grid
        Grid of the mask.
    shape : LevelShape
        Level, box and centroid.
    """

    mask_zyx: NDArray[np.float32]
    grid: Grid
    shape: LevelShape

    def sampled(self, grid: Grid) -> NDArray[np.float32]:
        """Return the share of bone on another grid.

        Parameters
        ----------
        grid : Grid
            The grid.

        Returns
        -------
        ndarray of float32, shape (z, y, x)
            Share of bone from 0 to 1, interpolated linearly.
        """
        return resample_linear(self.mask_zyx, self.grid, grid)

    def points_lps(self) -> Points:
        """Return the centres of the voxels, shape (n, 3), in patient coordinates."""
        index_xyz = np.argwhere(self.mask_zyx > 0)[:, ::-1].astype(np.float64)
        return to_lps(self.grid.affine_lps, index_xyz)

    @cached_property
    def row_ends_lps(self) -> Points:
        """The first and the last voxel of each row, shape (n, 3), in patient coordinates: they have the same extent."""
        inside = self.mask_zyx > 0
        z, y = np.nonzero(inside.any(axis=2))
        first = inside.argmax(axis=2)[z, y]
        last = inside.shape[2] - 1 - inside[:, :, ::-1].argmax(axis=2)[z, y]
        index_xyz = np.concatenate([np.stack([x, y, z], axis=1) for x in (first, last)]).astype(np.float64)
        return to_lps(self.grid.affine_lps, index_xyz)


def cut_out(labels: LabelVolume, shape: LevelShape) -> Bone:
    """Return the mask of a vertebra with a border of one voxel.

    Parameters
    ----------
    labels : LabelVolume
        The labels.
    shape : LevelShape
        The vertebra, from `core.shape.shapes_of` of these labels.
    """
    inside = labels.labels_zyx[shape.box_zyx] == shape.vertebra.label
    mask = np.pad(inside, 1).astype(np.float32)
    box = labels.grid.part(shape.box_zyx)
    affine = box.affine_lps.copy()
    affine[:3, 3] = to_lps(affine, np.array([[-1.0, -1.0, -1.0]]))[0]
    return Bone(mask, Grid((mask.shape[0], mask.shape[1], mask.shape[2]), affine), shape)


def find_frame(bone: Bone, superior: Vector) -> Frame:
    """Return the frame of a vertebra: left is the normal of its plane of symmetry; superior is only a first estimate.

    Parameters
    ----------
    bone : Bone
        The vertebra.
    superior : ndarray, shape (3,)
        Approximate direction of the column towards the head, patient coordinates.

    Returns
    -------
    Frame
        Its superior axis is the estimate, made perpendicular to left; `body` refines it by the end plates.
    """
    superior = superior / np.linalg.norm(superior)
    left = np.array([1.0, 0.0, 0.0])
    left = left - superior * (left @ superior)
    left /= np.linalg.norm(left)
    start = Frame(bone.shape.centroid_lps, left, np.cross(superior, left), superior)
    yaw, roll, offset = _plane_of_symmetry(bone, start)
    normal = _normal(start, yaw, roll)
    superior = superior - normal * (superior @ normal)
    superior /= np.linalg.norm(superior)
    origin = bone.shape.centroid_lps + normal * offset
    return Frame(origin, normal, np.cross(superior, normal), superior)


def _normal(frame: Frame, yaw: float, roll: float) -> Vector:
    direction = frame.left + np.tan(yaw) * frame.posterior + np.tan(roll) * frame.superior
    return np.asarray(direction / np.linalg.norm(direction))


def _plane_of_symmetry(bone: Bone, start: Frame) -> tuple[float, float, float]:
    """Return yaw and roll of the left axis (radians) and the offset of the plane from the centroid (millimetres).

    The plane is the one in which the mirrored vertebra overlaps best with itself.
    """
    sigma = [_SYMMETRY_BLUR_MM / step for step in reversed(bone.grid.spacing_xyz)]
    blurred = ndimage.gaussian_filter(bone.mask_zyx, sigma)
    points = bone.points_lps()
    points = points[:: max(1, len(points) // _SYMMETRY_POINTS)] - start.origin_lps

    def mismatch(parameters: Vector) -> float:
        normal = _normal(start, parameters[0], parameters[1])
        mirrored = points - 2 * np.outer(points @ normal - parameters[2] / 10, normal) + start.origin_lps
        index_zyx = to_index(bone.grid.affine_lps, mirrored)[:, ::-1].T
        return -float(ndimage.map_coordinates(blurred, index_zyx, order=1).mean())

    turns = np.radians(np.arange(-_MAX_TURN_DEG, _MAX_TURN_DEG + 1, _TURN_STEP_DEG))
    first = min(turns, key=lambda turn: mismatch(np.array([turn, 0.0, 0.0])))
    simplex = np.array([[first, 0, 0], [first + 0.15, 0, 0], [first, 0.1, 0], [first, 0, 20.0]])
    options = {"initial_simplex": simplex, "xatol": 2e-3, "fatol": 1e-6, "maxiter": 200}
    best = optimize.minimize(mismatch, simplex[0], method="Nelder-Mead", options=options).x
    return float(best[0]), float(best[1]), float(best[2]) / 10


def extent_in(frame: Frame, bone: Bone) -> tuple[Vector, Vector]:
    """Return the corners of the box of a vertebra in a frame, with a margin.

    Parameters
    ----------
    frame : Frame
        The frame.
    bone : Bone
        The vertebra.

    Returns
    -------
    low, high : ndarray, shape (3,)
        Corners (left, posterior, superior) in the frame, millimetres.
    """
    points = frame.from_lps(bone.row_ends_lps)
    margin = _MARGIN_MM + max(bone.grid.spacing_xyz) / 2
    return points.min(axis=0) - margin, points.max(axis=0) + margin
