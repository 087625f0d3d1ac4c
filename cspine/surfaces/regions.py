"""The parts of a vertebra's surface that loads and ligaments act on: end plates, facets, attachments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from cspine.surfaces.frame import BODY_HALF_WIDTH, VertebraFrame
from cspine.surfaces.surface import Points, Triangles

ENDPLATE_SUP, ENDPLATE_INF = "ENDPLATE_SUP", "ENDPLATE_INF"
FACETS = ("FACET_SUP_L", "FACET_SUP_R", "FACET_INF_L", "FACET_INF_R")
#: A direction counts as that of a face if their cosine is larger: 55 degrees for end plates, 45 for facets.
_ENDPLATE_COSINE, _FACET_COSINE, _LIGAMENT_COSINE = 0.57, 0.7, 0.5
#: A facet lies at least this share of the canal's width from its middle, and so close to the other bone of the joint.
_FACET_SIDE, _FACET_REACH_MM = 0.3, 5.0
#: Capsules attach within this distance around a facet; ligaments of the midline within this distance of it.
_CAPSULE_MM, _MIDLINE_MM, _SPINE_TIP_MM = 2.5, 4.0, 4.0
Chosen = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class SurfaceView:
    """The outer triangles of a mesh as its axes see them.

    Parameters
    ----------
    points_lps : ndarray, shape (n, 3)
        Nodes.
    triangles : ndarray of int, shape (m, 3)
        Outward triangles.
    frame : VertebraFrame
        The axes.
    """

    points_lps: Points
    triangles: Triangles
    frame: VertebraFrame

    @property
    def centres(self) -> Points:
        """Centres of the triangles along left, anterior and up."""
        return self.frame.coordinates(self.points_lps[self.triangles].mean(axis=1))

    @property
    def normals(self) -> Points:
        """Unit normals along left, anterior and up."""
        a, b, c = (self.points_lps[self.triangles[:, i]] for i in range(3))
        normal = np.cross(b - a, c - a) @ np.stack([self.frame.left, self.frame.anterior, self.frame.up], axis=1)
        return np.asarray(normal / np.linalg.norm(normal, axis=1, keepdims=True).clip(1e-12))


def surface_regions(
    view: SurfaceView, level: str, above_lps: Points | None, below_lps: Points | None
) -> dict[str, NDArray[np.int64]]:
    """Return the triangles of each region that a vertebra has, by name; their indices, in ascending order.

    Parameters
    ----------
    view : SurfaceView
        The outer triangles.
    level : str
        C1 has no end plates and no body, C2 no upper end plate.
    above_lps, below_lps : ndarray, shape (n, 3), or None
        Surface nodes of the neighbours; with one, its facets lie where it is near.
    """
    centres, normals = view.centres, view.normals
    chosen: dict[str, Chosen] = {}
    if level != "C1":
        chosen |= _end_plates(view, centres, normals, level)
    chosen |= _facets(view, centres, normals, level, (above_lps, below_lps))
    chosen |= _ligaments(view.frame, centres, normals, level)
    regions = {name: np.flatnonzero(_largest_patch(view.triangles, mask)) for name, mask in chosen.items()}
    regions |= _capsules(view, {name: regions[name] for name in FACETS if name in regions})
    return {name: triangles for name, triangles in regions.items() if len(triangles)}


def region_nodes(triangles: Triangles, regions: Mapping[str, NDArray[np.int64]]) -> dict[str, NDArray[np.int64]]:
    """Return the nodes of each region, in ascending order.

    Parameters
    ----------
    triangles : ndarray of int64, shape (m, 3)
        Indices of the corners of each triangle.
    regions : mapping of str to ndarray of int64
        Indices of the triangles of each region.
    """
    return {name: np.unique(triangles[chosen]) for name, chosen in regions.items()}


def _end_plates(view: SurfaceView, centres: Points, normals: Points, level: str) -> dict[str, Chosen]:
    frame = view.frame
    wide = np.abs(centres[:, 0]) < BODY_HALF_WIDTH * frame.canal_width_mm
    body = wide & (centres[:, 1] > frame.canal_front_mm)
    if not body.any():
        return {}
    middle = (centres[body, 2].min() + centres[body, 2].max()) / 2
    plates = {ENDPLATE_INF: body & (normals[:, 2] < -_ENDPLATE_COSINE) & (centres[:, 2] < middle)}
    if level != "C2":
        plates[ENDPLATE_SUP] = body & (normals[:, 2] > _ENDPLATE_COSINE) & (centres[:, 2] > middle)
    return plates


def _facets(
    view: SurfaceView, centres: Points, normals: Points, level: str, others: tuple[Points | None, Points | None]
) -> dict[str, Chosen]:
    flat_up, flat_down = level in ("C1", "C2"), level == "C1"
    # Facets face up and back, and down and to the front; those of the atlas and the upper ones of the axis lie flat.
    upper = np.array([0.0, 0.0, 1.0]) if flat_up else np.array([0.0, -1.0, 1.0]) / np.sqrt(2)
    lower = np.array([0.0, 0.0, -1.0]) if flat_down else np.array([0.0, 1.0, -1.0]) / np.sqrt(2)
    facets: dict[str, Chosen] = {}
    for part, direction, flat, other in (("SUP", upper, flat_up, others[0]), ("INF", lower, flat_down, others[1])):
        facing = normals @ direction > _FACET_COSINE
        if not flat:
            facing &= centres[:, 1] < view.frame.canal_front_mm
        if other is not None:
            where = view.points_lps[view.triangles].mean(axis=1)
            facing &= cKDTree(other).query(where, distance_upper_bound=_FACET_REACH_MM)[0] < np.inf
        for side, sign in (("L", 1), ("R", -1)):
            facets[f"FACET_{part}_{side}"] = facing & (sign * centres[:, 0] > _FACET_SIDE * view.frame.canal_width_mm)
    return facets


def _ligaments(frame: VertebraFrame, centres: Points, normals: Points, level: str) -> dict[str, Chosen]:
    left, anterior, _ = centres.T
    midline = np.abs(left) < _MIDLINE_MM
    ligaments = {"LIG_ALL": midline & (anterior > frame.canal_front_mm) & (normals[:, 1] > _LIGAMENT_COSINE)}
    if level != "C1":
        wall = midline & (np.abs(anterior - frame.canal_front_mm) < _MIDLINE_MM)
        ligaments["LIG_PLL"] = wall & (normals[:, 1] < -_LIGAMENT_COSINE)
    behind = anterior < 0
    lamina = np.abs(left) < frame.canal_width_mm / 2
    ligaments["LIG_LF"] = behind & lamina & (normals[:, 1] > _LIGAMENT_COSINE)
    spinous = behind & midline & (anterior < -frame.canal_front_mm)
    ligaments["LIG_ISL_SUP"] = spinous & (normals[:, 2] > _LIGAMENT_COSINE)
    ligaments["LIG_ISL_INF"] = spinous & (normals[:, 2] < -_LIGAMENT_COSINE)
    if spinous.any():
        ligaments["LIG_SSL"] = spinous & (anterior < anterior[spinous].min() + _SPINE_TIP_MM)
    return ligaments


def _capsules(view: SurfaceView, facets: Mapping[str, NDArray[np.int64]]) -> dict[str, NDArray[np.int64]]:
    """Return the triangles around each facet."""
    where = view.points_lps[view.triangles].mean(axis=1)
    facing = np.zeros(len(where), dtype=np.bool_)
    for triangles in facets.values():
        facing[triangles] = True
    capsules = {}
    for name, triangles in facets.items():
        if len(triangles):
            near = cKDTree(where[triangles]).query(where, distance_upper_bound=_CAPSULE_MM)[0] < np.inf
            capsules[name.replace("FACET", "LIG_CL")] = np.flatnonzero(near & ~facing)
    return capsules


def _largest_patch(triangles: Triangles, chosen: Chosen) -> Chosen:
    """Return the largest set of chosen triangles that are connected by nodes."""
    index = np.flatnonzero(chosen)
    if not len(index):
        return chosen
    nodes = triangles[index].ravel()
    size = len(index)
    links = coo_array(
        (np.ones(len(nodes)), (np.repeat(np.arange(size), 3), size + nodes)), shape=(size + int(nodes.max()) + 1,) * 2
    )
    part = connected_components(links, directed=False)[1][:size]
    kept = np.zeros_like(chosen)
    kept[index[part == np.argmax(np.bincount(part))]] = True
    return kept
