"""A finite-element model of vertebrae: meshes that do not intersect, their sets and materials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from cspine.core.anatomy import may_follow, vertebra
from cspine.core.errors import MeshError, NoVertebraError, UsageError
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.surfaces import material
from cspine.surfaces.discs import MIN_DISC_MM, disc_mesh
from cspine.surfaces.fe_settings import FeSettings
from cspine.surfaces.frame import VertebraFrame, frames_of
from cspine.surfaces.material import Material
from cspine.surfaces.quality import MeshQuality, boundary_faces, quality_of
from cspine.surfaces.regions import ENDPLATE_INF, ENDPLATE_SUP, SurfaceView, region_nodes, surface_regions
from cspine.surfaces.relax import relaxed
from cspine.surfaces.separate import separate
from cspine.surfaces.stuffing import TetrahedralMesh, Values, stuff
from cspine.surfaces.surface import Points, Triangles
from cspine.surfaces.vertebrae import Solid, placed_surface, smooth_solid, vertebra_solids

CORTICAL, TRABECULAR = "CORTICAL", "TRABECULAR"
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class FePart:
    """A meshed vertebra or disc.

    Parameters
    ----------
    name : str
        For example ``"C3"`` or ``"DISC_C3_C4"``.
    mesh : TetrahedralMesh
        Linear tetrahedra.
    faces : ndarray of int, shape (n, 3)
        Outer faces, outward.
    regions : mapping of str to ndarray of int
        Faces of end plates, facets and attachments, by name; indices into ``faces``.
    element_sets : mapping of str to ndarray of int
        Elements of the cortical shell and of trabecular bone.
    group : ndarray of int, shape (m,)
        Index of each element's material.
    materials : sequence of Material
        The materials.
    hu : ndarray, shape (m,), or None
        Mean Hounsfield units of each element; None without a CT.
    quality : MeshQuality
        Statistics.
    frame : VertebraFrame or None
        Axes; None for a disc, or where none were found.
    is_cut : bool
        True if the vertebra is cut by the edge of the image.
    clipped_share : float
        Share of the elements whose density was limited to what bone can have; 0 without a CT.
    """

    name: str
    mesh: TetrahedralMesh
    faces: Triangles
    regions: Mapping[str, Indices]
    element_sets: Mapping[str, Indices]
    group: Indices
    materials: Sequence[Material]
    hu: Values | None
    quality: MeshQuality
    frame: VertebraFrame | None = None
    is_cut: bool = False
    clipped_share: float = 0.0

    @property
    def node_sets(self) -> dict[str, Indices]:
        """Nodes of each region, ascending."""
        return region_nodes(self.faces, self.regions)


@dataclass(frozen=True, eq=False)
class FeModel:
    """Vertebrae, and discs between them.

    Parameters
    ----------
    vertebrae, discs : sequence of FePart
        From head to foot.
    distances_mm : mapping of (str, str) to float
        Smallest distance between the nodes of each two neighbours.
    rejected : mapping of str to str
        Vertebrae and discs whose mesh cannot be used, with the reason.
    without_disc : mapping of str to str
        Adjacent vertebrae between which there is no disc (``"C3-C4"``), with the reason.
    """

    vertebrae: Sequence[FePart]
    discs: Sequence[FePart] = ()
    distances_mm: Mapping[tuple[str, str], float] = field(default_factory=dict)
    rejected: Mapping[str, str] = field(default_factory=dict)
    without_disc: Mapping[str, str] = field(default_factory=dict)

    @property
    def parts(self) -> tuple[FePart, ...]:
        """Vertebrae, then discs."""
        return (*self.vertebrae, *self.discs)


def build_model(labels: LabelVolume, ct: CtVolume | None, settings: FeSettings) -> FeModel:
    """Return the finite-element model of labels.

    Parameters
    ----------
    labels : LabelVolume
        Labels of `cspine.core.anatomy`.
    ct : CtVolume, optional
        The image, in the same patient coordinates: its Hounsfield units become moduli. Without it, cortical and
        trabecular bone have one modulus each.
    settings : FeSettings
        Sizes, gaps, materials.

    Raises
    ------
    NoVertebraError
        If none of the wanted levels is present.
    MeshError
        If no vertebra can be meshed; a single one that cannot is omitted, with the reason.
    OtherImageError
        If a wanted level lies outside the image.
    UsageError
        If the user's line gives most elements a density that no bone has.
    """
    solids = vertebra_solids(labels)
    wanted = [i for i, solid in enumerate(solids) if settings.levels is None or solid.vertebra in settings.levels]
    if not wanted:
        raise NoVertebraError("none of the wanted levels is among the labels")
    if ct is not None:
        material.require_imaged(ct, labels, [solids[i].vertebra for i in wanted])
    frames = frames_of(solids)
    placed = [placed_surface(solid, smooth_solid(solid)[0]) for solid in solids]
    gap = max(settings.facet_gap_mm, settings.disc_gap_mm)
    placed = separate(placed, gap, lambda points: gaps_at(points, frames, settings))
    meshes = {i: relaxed(stuff(placed[i].implicit, settings.edge_mm), placed[i].implicit) for i in wanted}
    problems = {i: _problem(mesh, settings) for i, mesh in meshes.items()}
    rejected = {solids[i].vertebra.name: problem for i, problem in problems.items() if problem}
    meshes = {i: mesh for i, mesh in meshes.items() if not problems[i]}
    if not meshes:
        raise MeshError("; ".join(f"{level} {problem}" for level, problem in rejected.items()))
    parts = [_part(i, solids, meshes, frames, ct, settings) for i in meshes]
    _require_densities(parts, settings)
    discs = _Discs(settings)
    if settings.discs:
        discs.fill(parts)
    return FeModel(parts, discs.parts, _distances(parts), rejected | discs.rejected, discs.absent)


def _require_densities(parts: Sequence[FePart], settings: FeSettings) -> None:
    """Refuse a user's line from HU to density with which most elements have the least or the largest density."""
    elements = sum(len(part.group) for part in parts)
    share = sum(part.clipped_share * len(part.group) for part in parts) / max(elements, 1)
    if share > material.MAX_CLIPPED_SHARE and settings.density_line != FeSettings().density_line:
        low, high = material.MIN_DENSITY, material.MAX_DENSITY
        raise UsageError(
            f"`density_line` gives {100 * share:.0f} % of the elements less than {low:g} or more than {high:g} g/cm3",
            advice="Give slope, then intercept, in g/cm3 by HU: those of a phantom in mg/cm3 divided by 1000.",
        )


def gaps_at(points: Points, frames: Sequence[VertebraFrame | None], settings: FeSettings) -> Values:
    """Return the gap at points: that of discs before the nearest canal, and that of facets elsewhere.

    Parameters
    ----------
    points : ndarray, shape (n, 3)
        Points in millimetres, LPS.
    frames : sequence of VertebraFrame or None
        Frames of the vertebrae; None where a vertebra has none.
    settings : FeSettings
        Gaps of discs and of facets.

    Returns
    -------
    ndarray of float64, shape (n,)
        Gap at each point, millimetres.
    """
    gaps = np.full(len(points), settings.facet_gap_mm)
    known = [frame for frame in frames if frame is not None]
    if known:
        nearest = cKDTree(np.array([frame.origin_lps for frame in known])).query(points)[1]
        for i, frame in enumerate(known):
            here = nearest == i
            gaps[here] = np.where(frame.is_body(points[here]), settings.disc_gap_mm, settings.facet_gap_mm)
    return gaps


def _problem(mesh: TetrahedralMesh, settings: FeSettings) -> str:
    """Return why a mesh cannot be used; empty if it can."""
    if not len(mesh.tetrahedra):
        return f"has no element with edges of {settings.edge_mm:g} mm"
    quality = quality_of(mesh)
    if quality.is_acceptable:
        return ""
    return (
        f"has {quality.inverted} inverted elements, a smallest scaled Jacobian of {quality.min_scaled_jacobian:.3f} "
        f"and {100 * quality.poor_share:.2f} % poor elements"
    )


def _part(
    i: int,
    solids: Sequence[Solid],
    meshes: Mapping[int, TetrahedralMesh],
    frames: Sequence[VertebraFrame | None],
    ct: CtVolume | None,
    settings: FeSettings,
) -> FePart:
    mesh, frame, level = meshes[i], frames[i], solids[i].vertebra.name
    faces = boundary_faces(mesh.tetrahedra)
    beside = [meshes[j].points_lps if j in meshes and _are_adjacent(solids, i, j) else None for j in (i - 1, i + 1)]
    regions = surface_regions(SurfaceView(mesh.points_lps, faces, frame), level, *beside) if frame is not None else {}
    cortical = _cortical(mesh, faces, settings.cortical_mm)
    hu = material.mean_hu(ct, mesh.points_lps, mesh.tetrahedra) if ct is not None else None
    if hu is not None:
        group, materials = material.grouped(material.density_of(hu, settings.density_line), settings.materials)
    else:
        group, materials = np.where(cortical, 0, 1).astype(np.int64), list(_TWO)
    return FePart(
        name=level,
        mesh=mesh,
        faces=faces,
        regions=regions,
        element_sets={CORTICAL: np.flatnonzero(cortical), TRABECULAR: np.flatnonzero(~cortical)},
        group=group,
        materials=materials,
        hu=hu,
        quality=quality_of(mesh),
        frame=frame,
        is_cut=solids[i].touches_edge,
        clipped_share=material.clipped_share(hu, settings.density_line) if hu is not None else 0.0,
    )


def _are_adjacent(solids: Sequence[Solid], i: int, j: int) -> bool:
    upper, lower = (solids[index].vertebra.label for index in sorted((i, j)))
    return may_follow(upper, lower)


_TWO = (
    Material("CORTICAL_BONE", material.CORTICAL_MPA, material.POISSON_RATIO, material.CORTICAL_DENSITY),
    Material("TRABECULAR_BONE", material.TRABECULAR_MPA, material.POISSON_RATIO, material.TRABECULAR_DENSITY),
)
_DISC = Material("DISC", material.DISC_MPA, material.DISC_POISSON_RATIO, material.DISC_DENSITY)


def _cortical(mesh: TetrahedralMesh, faces: Triangles, depth_mm: float) -> NDArray[np.bool_]:
    """Return which elements have their centre at most so deep below the surface."""
    centres = mesh.points_lps[mesh.tetrahedra].mean(axis=1)
    outer = np.concatenate([mesh.points_lps[faces].mean(axis=1), mesh.points_lps[np.unique(faces)]])
    return np.asarray(cKDTree(outer).query(centres, distance_upper_bound=max(depth_mm, 1e-9))[0] < np.inf)


class _Discs:
    """The discs of a model, those whose mesh cannot be used, and the neighbours without one."""

    def __init__(self, settings: FeSettings) -> None:
        self._settings = settings
        self.parts: list[FePart] = []
        self.rejected: dict[str, str] = {}
        self.absent: dict[str, str] = {}

    def fill(self, vertebrae: Sequence[FePart]) -> None:
        for upper, lower in pairwise(vertebrae):
            if not may_follow(vertebra(upper.name).label, vertebra(lower.name).label):
                continue  # a level between them is missing, or has no mesh
            disc, reason = self._between(upper, lower)
            if disc is None:
                self.absent[f"{upper.name}-{lower.name}"] = reason
            elif problem := _problem(disc.mesh, self._settings):
                self.rejected[disc.name] = problem
            else:
                self.parts.append(disc)

    def _between(self, upper: FePart, lower: FePart) -> tuple[FePart | None, str]:
        """Return the disc between two vertebrae, or None and the reason."""
        if ENDPLATE_INF not in upper.regions or ENDPLATE_SUP not in lower.regions or lower.frame is None:
            return None, "an end plate was not found"
        plates = [
            part.mesh.points_lps[part.node_sets[name]] for part, name in ((upper, ENDPLATE_INF), (lower, ENDPLATE_SUP))
        ]
        made = disc_mesh(plates[0], plates[1], lower.frame, self._settings.edge_mm)
        if made is None:
            return None, f"the space between the end plates is less than {MIN_DISC_MM:g} mm high, or has no extent"
        mesh, faces, regions = made
        disc = FePart(
            name=f"DISC_{upper.name}_{lower.name}",
            mesh=mesh,
            faces=faces,
            regions=regions,
            element_sets={},
            group=np.zeros(len(mesh.tetrahedra), dtype=np.int64),
            materials=[_DISC],
            hu=None,
            quality=quality_of(mesh),
        )
        return disc, ""


def _distances(parts: Sequence[FePart]) -> dict[tuple[str, str], float]:
    return {
        (one.name, other.name): float(
            cKDTree(one.mesh.points_lps).query(other.mesh.points_lps[np.unique(other.faces)])[0].min()
        )
        for one, other in pairwise(parts)
    }
