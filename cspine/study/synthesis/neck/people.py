"""Vertebrae of several people, each bone in a frame that is the same for all: what a neck can be put together from.

The atlas's own vertebrae have frames by the discs beside them. A vertebra of another person gets the frame that fits
its surface best on the atlas's vertebra of that level, turned, moved and scaled.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from cspine.core.anatomy import VERTEBRAE, Vertebra
from cspine.core.errors import AtlasError
from cspine.study.synthesis.meshes import Field, Mesh, Points, read_obj, signed_distance_lattice
from cspine.study.synthesis.spine.mesh_forms import Frame, atlas_vertebrae

_log = logging.getLogger(__name__)

#: The person whose soft tissue the label atlas shows.
ATLAS_PERSON = "atlas"
#: Held back from training: evaluation sets alone show them.
EVALUATION_PEOPLE = ("artisynth",)
_STEP_MM = 0.5
_MARGIN_MM = 5.0
_CACHE_FORMAT = 1
_FIT_POINTS = 1500
_FIT_ROUNDS = 50
#: The part of the nearest points that a fit goes by: the tips of processes differ too much between people.
_FIT_SHARE = 0.8
#: A column needs the atlas's C1 to T3.
_NEEDED = VERTEBRAE[:10]


@dataclass(frozen=True, eq=False)
class Bone:
    """One vertebra of one person.

    Parameters
    ----------
    distance_mm : ndarray of float32, shape (z, y, x)
        Signed distance, positive inside, in the bone's frame: origin in the middle of the body, x to the left, y to
        the back, z to the head along the spine.
    low_xyz : ndarray, shape (3,)
        Coordinates of the first point of the lattice, millimetres.
    step_mm : float
        Spacing of the lattice.
    origin_mm, axes : ndarray, shape (3,) and (3, 3)
        Where the frame lies in the person's own column, and its axes as columns.
    size : float
        Size against the atlas's vertebra of this level.
    """

    distance_mm: Field
    low_xyz: Points
    step_mm: float
    origin_mm: Points
    axes: Points
    size: float


@dataclass(frozen=True, eq=False)
class Person:
    """The vertebrae of one person, by label of `cspine.core.anatomy`."""

    name: str
    bones: dict[int, Bone]


@dataclass(frozen=True, eq=False)
class People:
    """Everybody whose bones may be used.

    Parameters
    ----------
    atlas : Person
        C1 to some thoracic level: every column is completed with it.
    others : tuple of Person
        People of fewer levels.
    """

    atlas: Person
    others: tuple[Person, ...]

    def chosen(self, *, evaluation: bool) -> People:
        """Return those for training, or those that evaluation alone may show."""
        return People(self.atlas, tuple(p for p in self.others if (p.name in EVALUATION_PEOPLE) == evaluation))


def load_people(atlas: Path, anatomies: Path | None, cache: Path | None = None) -> People:
    """Load the atlas's vertebrae and those of other people.

    Parameters
    ----------
    atlas : Path
        Folder of the atlas; it, or its ``meshes/``, holds ``INDEX.csv`` and the meshes.
    anatomies : Path or None
        Folder with one folder per person, each with one mesh per level (``C1.obj``), x to the left, y to the back, z to
        the head, millimetres; without it the atlas's vertebrae are the only ones.
    cache : Path, optional
        Cache folder of the fields, which take some minutes to compute.

    Returns
    -------
    People

    Raises
    ------
    AtlasError
        If meshes are absent or damaged, or the atlas has not every level from C1 to T3 with its discs.
    """
    vertebrae = atlas_vertebrae(atlas)
    absent = [level.name for level in _NEEDED if level not in vertebrae]
    if absent:
        raise AtlasError(
            f"the atlas's meshes lack {', '.join(absent)}, or the discs beside them",
            advice="Give a folder whose INDEX.csv lists C1 to T3 and the discs between them.",
        )
    meshes = _meshes_of(anatomies)
    kept = cache / f"people-{_checksum(vertebrae, meshes)[:16]}.npz" if cache is not None else None
    if kept is not None and kept.is_file():
        return _loaded(kept)
    _log.info("turning the meshes of %d people into distances: some minutes", len(meshes) + 1)
    first = Person(ATLAS_PERSON, {level.label: _bone(mesh, frame, 1.0) for level, (mesh, frame) in vertebrae.items()})
    others = tuple(_fitted(name, own, vertebrae) for name, own in sorted(meshes.items()))
    people = People(first, others)
    if kept is not None:
        _keep(people, kept)
    return people


def people_checksum(atlas: Path, anatomies: Path | None) -> str:
    """Return the SHA-256 of all meshes; AtlasError where they are absent."""
    return _checksum(atlas_vertebrae(atlas), _meshes_of(anatomies))


def _checksum(vertebrae: Mapping[Vertebra, tuple[Mesh, Frame]], meshes: Mapping[str, Mapping[Vertebra, Mesh]]) -> str:
    digest = hashlib.sha256(f"{_CACHE_FORMAT}".encode())
    atlas = {level: mesh for level, (mesh, _) in vertebrae.items()}
    for name, own in [(ATLAS_PERSON, atlas), *sorted(meshes.items())]:
        for level, mesh in sorted(own.items(), key=lambda item: item[0].label):
            digest.update(f"{name} {level.name}".encode() + mesh.corners.tobytes() + mesh.triangles.tobytes())
    return digest.hexdigest()


def _meshes_of(anatomies: Path | None) -> dict[str, dict[Vertebra, Mesh]]:
    """Read the meshes of each person but the atlas's."""
    if anatomies is None:
        return {}
    people = {}
    folders = sorted(path for path in anatomies.iterdir() if path.is_dir()) if anatomies.is_dir() else []
    for folder in folders:
        own = {level: read_obj(path) for level in VERTEBRAE if (path := folder / f"{level.name}.obj").is_file()}
        if len(own) >= 2:
            people[folder.name] = own
    if not people:
        raise AtlasError(
            f"no folder with meshes of vertebrae (C1.obj, C2.obj ...) in {anatomies}",
            advice="Give a folder that holds one folder per person.",
        )
    return people


def _bone(mesh: Mesh, frame: Frame, size: float) -> Bone:
    distance, low = signed_distance_lattice(mesh.moved(frame.origin_mm, frame.axes), _STEP_MM, _MARGIN_MM)
    # The cache has half precision: a case must not depend on whether the fields come from there.
    rounded = distance.astype(np.float16).astype(np.float32)
    return Bone(rounded, low, _STEP_MM, frame.origin_mm, frame.axes, size)


def _fitted(name: str, own: Mapping[Vertebra, Mesh], atlas: Mapping[Vertebra, tuple[Mesh, Frame]]) -> Person:
    bones = {}
    for level, mesh in own.items():
        if level not in atlas:
            continue
        reference, frame = atlas[level]
        bones[level.label] = _bone(mesh, *fit_frame(mesh, reference.moved(frame.origin_mm, frame.axes)))
    return Person(name, bones)


def fit_frame(mesh: Mesh, reference: Mesh) -> tuple[Frame, float]:
    """Find the frame in which a vertebra lies on another one of its level, and its size against that.

    Parameters
    ----------
    mesh : Mesh
        Axes about to the left, the back and the head.
    reference : Mesh
        In its own frame.

    Returns
    -------
    frame : Frame
        Its reach above and below is not known and 0.
    size : float
    """
    rng = np.random.default_rng(0)
    points = _surface_points(mesh, rng)
    target = _surface_points(reference, rng)
    tree = cKDTree(target)
    size = float(np.ptp(points, axis=0)[0] / np.ptp(target, axis=0)[0])
    axes = np.eye(3)
    origin = points.mean(axis=0) - size * target.mean(axis=0)
    for _ in range(_FIT_ROUNDS):
        local = (points - origin) @ axes / size
        far, nearest = tree.query(local)
        near = far <= np.quantile(far, _FIT_SHARE)
        # Umeyama 1991: the similarity that maps the reference's points onto those of the mesh.
        source, goal = target[nearest[near]], points[near]
        source_middle, goal_middle = source.mean(axis=0), goal.mean(axis=0)
        u, values, vt = np.linalg.svd((goal - goal_middle).T @ (source - source_middle) / len(source))
        sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
        axes = (u * sign) @ vt
        size = float((values * sign).sum() / source.var(axis=0).sum())
        origin = goal_middle - size * axes @ source_middle
    return Frame(origin, axes, 0.0, 0.0), size


def _surface_points(mesh: Mesh, rng: np.random.Generator) -> Points:
    """Return the points spread evenly over a surface."""
    a, b, c = (mesh.corners[mesh.triangles[:, i]] for i in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    chosen = rng.choice(len(area), size=_FIT_POINTS, p=area / area.sum())
    u, v = rng.random((2, _FIT_POINTS, 1))
    flip = u + v > 1
    u, v = np.where(flip, 1 - u, u), np.where(flip, 1 - v, v)
    return np.asarray(a[chosen] + u * (b - a)[chosen] + v * (c - a)[chosen])


def _keep(people: People, path: Path) -> None:
    fields = {}
    for person in (people.atlas, *people.others):
        for label, bone in person.bones.items():
            key = f"{person.name}:{label}"
            fields[f"{key}:distance"] = bone.distance_mm.astype(np.float16)
            fields[f"{key}:place"] = np.concatenate(
                [bone.low_xyz, [bone.step_mm, bone.size], bone.origin_mm, bone.axes.ravel()]
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, **fields)  # type: ignore[arg-type]
    partial.replace(path)


def _loaded(path: Path) -> People:
    people: dict[str, dict[int, Bone]] = {}
    with np.load(path, allow_pickle=False) as fields:
        for key in fields.files:
            name, label, kind = key.rsplit(":", 2)
            if kind != "place":
                continue
            place = fields[key]
            distance = fields[f"{name}:{label}:distance"].astype(np.float32)
            bone = Bone(distance, place[:3], float(place[3]), place[5:8], place[8:].reshape(3, 3), float(place[4]))
            people.setdefault(name, {})[int(label)] = bone
    first = Person(ATLAS_PERSON, people.pop(ATLAS_PERSON))
    return People(first, tuple(Person(name, bones) for name, bones in people.items()))
