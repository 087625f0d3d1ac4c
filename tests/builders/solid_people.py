"""Meshes of simple solids as OBJ files: an atlas of vertebrae with its discs, and folders of other people's.

A vertebra is a body (box), an arch around the canal, two articular pillars and a spinous process, each of them a box
that overlaps the next; `ellipsoid` and `box` are solids of known distance.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from cspine.core.anatomy import Vertebra, levels_between
from cspine.study.synthesis.meshes import Mesh, Points

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh")
_QUADS = ((1, 2, 4, 3), (5, 7, 8, 6), (1, 5, 6, 2), (3, 4, 8, 7), (1, 3, 7, 5), (2, 6, 8, 4))
#: Distance between the middles of neighbours, millimetres.
STEP = 8.0
LAST = "T4"


def box(centre: tuple[float, float, float], half: tuple[float, float, float]) -> Mesh:
    """A closed box of twelve triangles."""
    corners = [
        [m + h * s for m, h, s in zip(centre, half, (sx, sy, sz), strict=True)]
        for sz in (-1, 1) for sy in (-1, 1) for sx in (-1, 1)
    ]  # fmt: skip
    triangles = [[q[0] - 1, q[i] - 1, q[i + 1] - 1] for q in _QUADS for i in (1, 2)]
    return Mesh(np.array(corners, dtype=float), np.array(triangles))


def ellipsoid(radii: tuple[float, float, float], rings: int = 24) -> Mesh:
    """A closed ellipsoid around the origin."""
    theta = np.linspace(0, np.pi, rings + 1)[1:-1]
    phi = np.linspace(0, 2 * np.pi, 2 * rings, endpoint=False)
    ring = [[np.sin(t) * np.cos(p), np.sin(t) * np.sin(p), np.cos(t)] for t in theta for p in phi]
    corners = np.array([*ring, [0, 0, 1], [0, 0, -1]]) * radii
    count, width = len(theta), len(phi)
    triangles = []
    for j in range(width):
        k = (j + 1) % width
        triangles += [[count * width, j, k], [count * width + 1, (count - 1) * width + k, (count - 1) * width + j]]
        for i in range(count - 1):
            a, b, c, d = i * width + j, i * width + k, (i + 1) * width + j, (i + 1) * width + k
            triangles += [[a, c, b], [b, c, d]]
    return Mesh(corners, np.array(triangles))


def without(mesh: Mesh, *triangles: int) -> Mesh:
    """The mesh with holes."""
    return Mesh(mesh.corners, np.delete(mesh.triangles, triangles, axis=0))


def vertebra_mesh() -> Mesh:
    """A form without symmetry to the front, one closed surface: a deep box with a keel behind and wings above it."""
    outline = [(-9, -7), (9, -7), (9, 6), (12, 8), (12, 14), (3, 18), (3, 26), (-3, 26), (-3, 18), (-12, 14),
               (-12, 8), (-9, 6)]  # fmt: skip
    points = np.array([[x, y, z] for z in (-3.2, 3.2) for x, y in outline], dtype=float)
    n = len(outline)
    fan = [(0, 1, 2), (0, 2, 11), (11, 2, 3), (11, 3, 10), (10, 3, 4), (10, 4, 9), (9, 4, 5), (9, 5, 8), (8, 5, 6),
           (8, 6, 7)]  # fmt: skip
    lower = [(a, c, b) for a, b, c in fan]
    upper = [(a + n, b + n, c + n) for a, b, c in fan]
    sides = [t for i in range(n) for t in ((i, (i + 1) % n, i + n), ((i + 1) % n, (i + 1) % n + n, i + n))]
    return Mesh(points, np.array([*lower, *upper, *sides]))


def moved(mesh: Mesh, size: float, degrees: tuple[float, float, float], to: Points | tuple[float, ...]) -> Mesh:
    """The mesh scaled, rotated and then moved."""
    rotation = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    return Mesh(size * mesh.corners @ rotation.T + np.asarray(to), mesh.triangles)


def write_obj(path: Path, mesh: Mesh) -> None:
    """Write a Wavefront OBJ file."""
    lines = [f"v {x:.5f} {y:.5f} {z:.5f}" for x, y, z in mesh.corners]
    lines += [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in mesh.triangles]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*lines, ""]), encoding="ascii")


def _name(level: Vertebra) -> str:
    if level.name in ("C1", "C2"):
        return "atlas" if level.name == "C1" else "axis"
    region = {"C": "cervical", "T": "thoracic"}[level.name[0]]
    return f"{_ORDINALS[int(level.name[1:]) - 1]} {region} vertebra"


def centre_of(level: Vertebra) -> Points:
    """Where the body of a level of the atlas lies: on the spine of `tests.builders.tiny_atlas`, 8 mm per level."""
    return np.array([3.5, 3.5, 1000.0 + STEP * (13 - level.label) + 3.5])


def write_meshes(folder: Path, last: str = LAST) -> Path:
    """Write an atlas's meshes, C1 down to a level, with INDEX.csv and a disc below each from C2 on but the last."""
    rows = ["file,name"]
    for level in levels_between("C1", last):
        entries = [(f"{level.name}.obj", _name(level), moved(vertebra_mesh(), 1.0, (0, 0, 0), centre_of(level)))]
        if level.name not in ("C1", last):
            disc = box(tuple(centre_of(level) - [0, 0, STEP / 2]), (8.0, 6.0, 0.6))
            entries.append((f"D{level.name}.obj", f"intervertebral disk of {_name(level)}", disc))
        for file, name, mesh in entries:
            write_obj(folder / file, mesh)
            rows.append(f"{file},{name.capitalize()}")
    (folder / "INDEX.csv").write_text("\n".join([*rows, ""]), encoding="utf-8")
    return folder


def write_person(folder: Path, last: str, size: float) -> Path:
    """Write another person's meshes: the same form, larger, rotated as one, and moved."""
    for level in levels_between("C1", last):
        at = size * (centre_of(level) - centre_of(levels_between("C1", "C1")[0])) + [200, -80, 40]
        write_obj(folder / f"{level.name}.obj", moved(vertebra_mesh(), size, (4, 0, 6), at))
    return folder
