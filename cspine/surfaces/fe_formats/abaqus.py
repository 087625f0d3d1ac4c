"""Abaqus and CalculiX input: nodes, elements, sets, surfaces, materials; and a compression test of one vertebra."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from cspine.surfaces.fe_formats.numbered import G_CM3_TO_TONNE_MM3, NumberedPart, numbered, rows
from cspine.surfaces.fe_model import FeModel, FePart
from cspine.surfaces.regions import ENDPLATE_INF, ENDPLATE_SUP

_WIDTH = 16
#: Abaqus's faces S1 to S4, each by the corner that it lacks.
_FACE_WITHOUT = {3: 1, 2: 2, 0: 3, 1: 4}
_TIE_MM = 0.5


def abaqus_text(model: FeModel, order: int) -> str:
    """Return the model as an input file without a step; discs are tied to the end plates beside them.

    Parameters
    ----------
    model : FeModel
        The model.
    order : int
        Order of the elements: 1 or 2.
    """
    parts = numbered(model, order)
    return "\n".join([*_model_lines(parts), *_ties(model), ""])


def compression_text(part: FePart, percent: float, order: int) -> str:
    """Return a linear static test of a vertebra between its end plates.

    The lower end plate is held; the upper one moves down along the axis of the vertebra by a share of the height
    between them, free of rotation. The reaction force is printed.

    Parameters
    ----------
    part : FePart
        A vertebra with both end plates and axes.
    percent : float
        Displacement in percent of the height between the end plates.
    order : int
        Order of the elements.
    """
    assert part.frame is not None
    parts = numbered(FeModel([part]), order)
    name = part.name
    down = -part.frame.up * percent / 100 * endplate_distance(part)
    lines = [*_model_lines(parts), "*STEP", "*STATIC", "*BOUNDARY", f"{name}_{ENDPLATE_INF}, 1, 3, 0."]
    lines += [f"{name}_{ENDPLATE_SUP}, {axis + 1}, {axis + 1}, {down[axis]:.9e}" for axis in range(3)]
    lines += [f"*NODE PRINT, NSET={name}_{ENDPLATE_SUP}, TOTALS=ONLY", "RF"]
    return "\n".join([*lines, "*NODE FILE", "U, RF", "*EL FILE", "S, E", "*END STEP", ""])


def endplate_distance(part: FePart) -> float:
    """Return the distance between the centres of both end plates of a vertebra along its axis, in millimetres.

    Parameters
    ----------
    part : FePart
        A vertebra with a frame and both end plates.
    """
    assert part.frame is not None
    upper, lower = (part.mesh.points_lps[part.node_sets[name]].mean(axis=0) for name in (ENDPLATE_SUP, ENDPLATE_INF))
    return float((upper - lower) @ part.frame.up)


def _model_lines(parts: Sequence[NumberedPart]) -> Iterator[str]:
    yield "*HEADING"
    yield "Vertebrae by cspine; LPS coordinates; mm, N, MPa, tonne"
    kind = "C3D10" if parts[0].cells.shape[1] == 10 else "C3D4"
    for part in parts:
        yield f"*NODE, NSET={part.part.name}_NODES"
        for number, (x, y, z) in zip(part.node_numbers, part.points_lps, strict=True):
            yield f"{number}, {x:.6f}, {y:.6f}, {z:.6f}"
        yield f"*ELEMENT, TYPE={kind}, ELSET={part.part.name}"
        for number, cell in zip(part.element_numbers, part.cells, strict=True):
            yield f"{number}, {', '.join(map(str, cell))}"
        yield from _sets(part)
        yield from _materials(part)


def _sets(part: NumberedPart) -> Iterator[str]:
    for name, nodes in part.node_sets():
        yield f"*NSET, NSET={name}"
        yield from rows(nodes, _WIDTH)
    for name, elements in part.element_sets():
        yield f"*ELSET, ELSET={name}"
        yield from rows(elements, _WIDTH)
    owner, side = _face_owners(part.part)
    for name, faces in {"OUTER": np.arange(len(part.part.faces)), **part.part.regions}.items():
        yield f"*SURFACE, NAME={part.part.name}_{name}_SURFACE, TYPE=ELEMENT"
        for face in faces:
            yield f"{part.first_element + owner[face]}, S{side[face]}"


def _face_owners(part: FePart) -> tuple[np.ndarray, np.ndarray]:
    """Return the element of each outer face, and the number of the face within it."""
    cells = part.mesh.tetrahedra
    count = len(part.mesh.points_lps)
    without = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])

    def keys(faces: np.ndarray) -> np.ndarray:
        a, b, c = np.sort(faces, axis=1).T
        return np.asarray((a * count + b) * count + c)

    of_cells = keys(cells[:, without].reshape(-1, 3))
    order = np.argsort(of_cells, kind="stable")
    at = order[np.searchsorted(of_cells, keys(part.faces), sorter=order)]
    return at // 4, np.array([_FACE_WITHOUT[corner] for corner in range(4)])[at % 4]


def _materials(part: NumberedPart) -> Iterator[str]:
    for name, index, elements in part.material_groups():
        if not len(elements):
            continue
        material = part.part.materials[index]
        yield f"*ELSET, ELSET=E_{name}"
        yield from rows(part.first_element + elements, _WIDTH)
        yield f"*MATERIAL, NAME=M_{name}"
        yield "*ELASTIC"
        yield f"{material.modulus_mpa:.6g}, {material.poisson_ratio:g}"
        yield "*DENSITY"
        yield f"{material.density_g_cm3 * G_CM3_TO_TONNE_MM3:.6g}"
        yield f"*SOLID SECTION, ELSET=E_{name}, MATERIAL=M_{name}"


def _ties(model: FeModel) -> Iterator[str]:
    for disc in model.discs:
        upper, lower = disc.name.split("_")[1:]
        for own, bone, plate in ((ENDPLATE_SUP, upper, ENDPLATE_INF), (ENDPLATE_INF, lower, ENDPLATE_SUP)):
            yield f"*TIE, NAME={disc.name}_{bone}, POSITION TOLERANCE={_TIE_MM}, ADJUST=NO"
            yield f"{disc.name}_{own}_SURFACE, {bone}_{plate}_SURFACE"
