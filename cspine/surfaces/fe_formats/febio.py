"""FEBio input (version 4.0): a domain and a material for each group of elements, node and element sets."""

from __future__ import annotations

from collections.abc import Iterator

from cspine.surfaces.fe_formats.numbered import G_CM3_TO_TONNE_MM3, NumberedPart, numbered
from cspine.surfaces.fe_model import FeModel


def febio_text(model: FeModel, order: int) -> str:
    """Return the model as a .feb file without a step.

    Parameters
    ----------
    model : FeModel
        The model.
    order : int
        Order of the elements: 1 or 2.
    """
    parts = numbered(model, order)
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<febio_spec version="4.0">', '<Module type="solid"/>']
    lines += ["<Material>", *_materials(parts), "</Material>", "<Mesh>"]
    for part in parts:
        lines += _mesh(part)
    lines += ["</Mesh>", "<MeshDomains>"]
    lines += [f'<SolidDomain name="E_{name}" mat="M_{name}"/>' for part in parts for name in _domains(part)]
    return "\n".join([*lines, "</MeshDomains>", "</febio_spec>", ""])


def _domains(part: NumberedPart) -> list[str]:
    return [name for name, _, elements in part.material_groups() if len(elements)]


def _materials(parts: list[NumberedPart]) -> Iterator[str]:
    number = 0
    for part in parts:
        for name, index, elements in part.material_groups():
            if len(elements):
                number += 1
                material = part.part.materials[index]
                yield f'<material id="{number}" name="M_{name}" type="isotropic elastic">'
                yield f"<density>{material.density_g_cm3 * G_CM3_TO_TONNE_MM3:.6g}</density>"
                yield f"<E>{material.modulus_mpa:.6g}</E><v>{material.poisson_ratio:g}</v></material>"


def _mesh(part: NumberedPart) -> Iterator[str]:
    yield f'<Nodes name="{part.part.name}">'
    for number, (x, y, z) in zip(part.node_numbers, part.points_lps, strict=True):
        yield f'<node id="{number}">{x:.6f},{y:.6f},{z:.6f}</node>'
    yield "</Nodes>"
    kind = f"tet{part.cells.shape[1]}"
    for name, _, elements in part.material_groups():
        if len(elements):
            yield f'<Elements type="{kind}" name="E_{name}">'
            for element in elements:
                yield f'<elem id="{part.first_element + element}">{",".join(map(str, part.cells[element]))}</elem>'
            yield "</Elements>"
    for name, numbers in part.node_sets():
        yield f'<NodeSet name="{name}">{",".join(map(str, numbers))}</NodeSet>'
    for name, numbers in part.element_sets():
        yield f'<ElementSet name="{name}">{",".join(map(str, numbers))}</ElementSet>'
