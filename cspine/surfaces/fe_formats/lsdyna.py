"""LS-DYNA keyword input: a part, a section and a material for each group of elements, node and solid sets."""

from __future__ import annotations

from collections.abc import Iterator

from cspine.surfaces.fe_formats.numbered import G_CM3_TO_TONNE_MM3, Indices, NumberedPart, numbered
from cspine.surfaces.fe_model import FeModel

#: Tetrahedra with one point and four nodes; quadratic ones with ten.
_ELFORM = {4: 10, 10: 16}
_TITLE = 70


def lsdyna_text(model: FeModel, order: int) -> str:
    """Return the model as a keyword file without loads.

    Parameters
    ----------
    model : FeModel
        The model.
    order : int
        Order of the elements: 1 or 2.
    """
    parts = numbered(model, order)
    form = _ELFORM[parts[0].cells.shape[1]]
    lines = ["*KEYWORD", "*TITLE", "Vertebrae by cspine; LPS; mm, N, MPa, tonne", "*SECTION_SOLID", _card(1, form)]
    number, sets = 0, 0
    for part in parts:
        lines += _nodes(part)
        for name, index, elements in part.material_groups():
            if not len(elements):
                continue
            number += 1
            material = part.part.materials[index]
            lines += ["*PART", name[:_TITLE], _card(number, 1, number), "*MAT_ELASTIC"]
            density = material.density_g_cm3 * G_CM3_TO_TONNE_MM3
            lines.append(f"{number:10d}{density:10.3e}{material.modulus_mpa:10.4g}{material.poisson_ratio:10.3g}")
            lines += _elements(part, number, elements)
        for kind, named in (("NODE", part.node_sets()), ("SOLID", part.element_sets())):
            for name, members in named:
                sets += 1
                lines += _set(kind, sets, name, members)
    return "\n".join([*lines, "*END", ""])


def _card(*numbers: int) -> str:
    return "".join(f"{number:10d}" for number in numbers)


def _nodes(part: NumberedPart) -> Iterator[str]:
    yield "*NODE"
    for number, (x, y, z) in zip(part.node_numbers, part.points_lps, strict=True):
        yield f"{number:8d}{x:16.6f}{y:16.6f}{z:16.6f}"


def _elements(part: NumberedPart, number: int, elements: Indices) -> Iterator[str]:
    """Yield elements in the format of two lines, which has ten nodes; four-node ones repeat the last."""
    yield "*ELEMENT_SOLID"
    for element in elements:
        cell = [*part.cells[element]]
        nodes = cell if len(cell) == 10 else [*cell, *[cell[3]] * 4]
        yield f"{part.first_element + element:8d}{number:8d}"
        yield "".join(f"{node:8d}" for node in nodes)


def _set(kind: str, number: int, name: str, members: Indices) -> Iterator[str]:
    yield "*SET_NODE_LIST_TITLE" if kind == "NODE" else "*SET_SOLID_TITLE"
    yield name[:_TITLE]
    yield _card(number)
    for start in range(0, len(members), 8):
        yield _card(*(int(member) for member in members[start : start + 8]))
