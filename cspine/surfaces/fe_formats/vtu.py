"""VTK's XML format of unstructured grids, with the properties of each element and the sets as arrays."""

from __future__ import annotations

import numpy as np

from cspine.surfaces.fe_formats.numbered import NumberedPart, numbered
from cspine.surfaces.fe_model import CORTICAL, FeModel
from cspine.surfaces.formats import vtk_array
from cspine.surfaces.quality import scaled_jacobians

_TETRA, _QUADRATIC_TETRA = 10, 24


def vtu_text(model: FeModel, order: int) -> str:
    """Return the model as a .vtu file.

    Cells have ``part`` (index of the part), ``modulus_mpa``, ``density_g_cm3``, ``cortical``, ``scaled_jacobian`` and,
    with a CT, ``hu``; points have an array of 0 and 1 for each kind of node set, for example ``ENDPLATE_SUP``.

    Parameters
    ----------
    model : FeModel
        The model.
    order : int
        Order of the elements: 1 or 2.
    """
    parts = numbered(model, order)
    cells = np.concatenate([part.cells for part in parts]) - 1
    points = np.concatenate([part.points_lps for part in parts])
    kind = _TETRA if cells.shape[1] == 4 else _QUADRATIC_TETRA
    offsets = np.arange(1, len(cells) + 1, dtype=np.int64) * cells.shape[1]
    lines = [
        '<?xml version="1.0"?>',
        '<VTKFile type="UnstructuredGrid" version="1.0" byte_order="LittleEndian" header_type="UInt64">',
        f'<UnstructuredGrid><Piece NumberOfPoints="{len(points)}" NumberOfCells="{len(cells)}">',
        f"<Points>{vtk_array('Points', points, components=3)}</Points>",
        f"<Cells>{vtk_array('connectivity', cells)}{vtk_array('offsets', offsets)}"
        f"{vtk_array('types', np.full(len(cells), kind, dtype=np.uint8))}</Cells>",
        f"<CellData>{''.join(_cell_data(parts))}</CellData>",
        f"<PointData>{''.join(_point_data(parts, len(points)))}</PointData>",
        "</Piece></UnstructuredGrid></VTKFile>",
    ]
    return "\n".join(lines)


def _cell_data(parts: list[NumberedPart]) -> list[str]:
    index = np.concatenate([np.full(len(part.cells), i, dtype=np.int32) for i, part in enumerate(parts)])
    arrays = [vtk_array("part", index)]
    for name in ("modulus_mpa", "density_g_cm3"):
        values = [np.array([getattr(m, name) for m in part.part.materials])[part.part.group] for part in parts]
        arrays.append(vtk_array(name, np.concatenate(values)))
    cortical = [np.zeros(len(part.cells), dtype=np.uint8) for part in parts]
    for mask, part in zip(cortical, parts, strict=True):
        mask[part.part.element_sets.get(CORTICAL, np.zeros(0, dtype=np.int64))] = 1
    arrays.append(vtk_array("cortical", np.concatenate(cortical)))
    quality = [scaled_jacobians(part.part.mesh.points_lps, part.part.mesh.tetrahedra) for part in parts]
    arrays.append(vtk_array("scaled_jacobian", np.concatenate(quality)))
    if any(part.part.hu is not None for part in parts):
        hu = [part.part.hu if part.part.hu is not None else np.full(len(part.cells), np.nan) for part in parts]
        arrays.append(vtk_array("hu", np.concatenate(hu)))
    return arrays


def _point_data(parts: list[NumberedPart], count: int) -> list[str]:
    masks: dict[str, np.ndarray] = {}
    for part in parts:
        prefix = f"{part.part.name}_"
        for name, nodes in part.node_sets():
            masks.setdefault(name.removeprefix(prefix), np.zeros(count, dtype=np.uint8))[nodes - 1] = 1
    return [vtk_array(name, mask) for name, mask in sorted(masks.items())]
