"""Input files, read back as their programs read them."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from cspine.surfaces.fe_formats.abaqus import abaqus_text, compression_text, endplate_distance
from cspine.surfaces.fe_formats.febio import febio_text
from cspine.surfaces.fe_formats.lsdyna import lsdyna_text
from cspine.surfaces.fe_formats.vtu import vtu_text
from cspine.surfaces.fe_model import FeModel, FePart
from cspine.surfaces.quality import volumes_of

_ABAQUS_FACES = {"S1": (0, 1, 2), "S2": (0, 3, 1), "S3": (1, 3, 2), "S4": (2, 3, 0)}


def _volume(nodes: dict[int, list[float]], elements: dict[int, list[int]]) -> float:
    points = np.array([nodes[number] for number in sorted(nodes)])
    cells = np.array([elements[number][:4] for number in sorted(elements)]) - 1
    volumes = volumes_of(points, cells)
    assert (volumes > 0).all()
    return float(volumes.sum())


def _expected(fe_model: FeModel) -> float:
    return sum(part.quality.volume_mm3 for part in fe_model.parts)


def _blocks(text: str) -> list[tuple[str, list[str]]]:
    """The keyword lines of an Abaqus file with their data lines."""
    blocks: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("*"):
            blocks.append((line, []))
        elif line:
            blocks[-1][1].append(line)
    return blocks


def _abaqus(text: str) -> tuple[dict[int, list[float]], dict[int, list[int]]]:
    nodes: dict[int, list[float]] = {}
    elements: dict[int, list[int]] = {}
    for keyword, lines in _blocks(text):
        for line in lines:
            number, *values = line.split(",")
            if keyword.startswith("*NODE, NSET"):
                nodes[int(number)] = [float(value) for value in values]
            elif keyword.startswith("*ELEMENT"):
                elements[int(number)] = [int(value) for value in values]
    return nodes, elements


@pytest.mark.parametrize("order", [1, 2])
def test_abaqus_has_nodes_elements_and_one_section_each(fe_model: FeModel, order: int) -> None:
    text = abaqus_text(fe_model, order)
    nodes, elements = _abaqus(text)
    assert {len(each) for each in elements.values()} == {4 if order == 1 else 10}
    assert _volume(nodes, elements) == pytest.approx(_expected(fe_model), rel=1e-4)
    sections = [
        int(number)
        for keyword, lines in _blocks(text)
        if keyword.startswith("*ELSET, ELSET=E_")
        for line in lines
        for number in line.split(",")
    ]
    assert sorted(sections) == sorted(elements)
    assert max(len(line) for line in text.splitlines()) < 256


def test_abaqus_surfaces_are_faces_of_their_elements(fe_model: FeModel) -> None:
    text = abaqus_text(fe_model, 1)
    _, elements = _abaqus(text)
    blocks = dict(_blocks(text))
    nodes = {int(n) for line in blocks["*NSET, NSET=C4_ENDPLATE_SUP"] for n in line.split(",")}
    faces = [line.split(", ") for line in blocks["*SURFACE, NAME=C4_ENDPLATE_SUP_SURFACE, TYPE=ELEMENT"]]
    for element, side in faces:
        assert {elements[int(element)][corner] for corner in _ABAQUS_FACES[side]} <= nodes


def test_abaqus_ties_discs_to_both_end_plates(fe_model: FeModel) -> None:
    text = abaqus_text(fe_model, 1)
    assert text.count("*TIE") == 4
    names = set(re.findall(r"\*SURFACE, NAME=(\w+)", text))
    pairs = [lines[0].split(", ") for keyword, lines in _blocks(text) if keyword.startswith("*TIE")]
    assert {name for pair in pairs for name in pair} <= names


def test_the_compression_moves_the_upper_end_plate_along_the_axis(fe_model: FeModel) -> None:
    part = fe_model.vertebrae[1]
    blocks = _blocks(compression_text(part, 2.0, 1))
    boundary = next(lines for keyword, lines in blocks if keyword == "*BOUNDARY")
    assert boundary[0] == "C4_ENDPLATE_INF, 1, 3, 0."
    moved = np.array([float(line.split(",")[3]) for line in boundary[1:]])
    assert part.frame is not None
    np.testing.assert_allclose(moved, -part.frame.up * 0.02 * endplate_distance(part), atol=1e-9)


def _node_texts(part: FePart, name: str, order: int) -> list[str]:
    """The nodes of a set as FEBio's file has them: the corners of its faces, and the middles of their edges."""
    points = part.mesh.points_lps
    positions = [points[part.node_sets[name]]]
    if order == 2:
        faces = part.faces[part.regions[name]]
        edges = np.unique(np.sort(faces[:, [[0, 1], [1, 2], [0, 2]]].reshape(-1, 2), axis=1), axis=0)
        positions.append(points[edges].mean(axis=1))
    return sorted(f"{x:.6f},{y:.6f},{z:.6f}" for x, y, z in np.concatenate(positions))


@pytest.mark.parametrize("order", [1, 2])
def test_febio_has_a_domain_and_a_material_for_every_element(fe_model: FeModel, order: int) -> None:
    root = ET.fromstring(febio_text(fe_model, order))
    assert root.get("version") == "4.0"
    nodes = {int(str(n.get("id"))): [float(v) for v in str(n.text).split(",")] for n in root.iter("node")}
    elements = {int(str(e.get("id"))): [int(v) for v in str(e.text).split(",")] for e in root.iter("elem")}
    assert _volume(nodes, elements) == pytest.approx(_expected(fe_model), rel=1e-4)
    materials = {each.get("name") for each in root.iter("material")}
    domains = {each.get("name"): each.get("mat") for each in root.iter("SolidDomain")}
    assert {each.get("name") for each in root.iter("Elements")} == set(domains)
    assert set(domains.values()) == materials
    texts = {str(node.get("id")): str(node.text) for node in root.iter("node")}
    sets = {each.get("name"): sorted(texts[n] for n in str(each.text).split(",")) for each in root.iter("NodeSet")}
    assert sets == {
        f"{part.name}_{name}": _node_texts(part, name, order) for part in fe_model.parts for name in part.node_sets
    }
    assert sets["C4_ENDPLATE_SUP"]


@pytest.mark.parametrize("order", [1, 2])
def test_lsdyna_cards_have_their_widths(fe_model: FeModel, order: int) -> None:
    lines = lsdyna_text(fe_model, order).splitlines()
    assert (lines[0], lines[-1]) == ("*KEYWORD", "*END")
    nodes: dict[int, list[float]] = {}
    elements: dict[int, list[int]] = {}
    keyword = ""
    for i, line in enumerate(lines):
        assert len(line) <= 80
        if line.startswith("*"):
            keyword = line
        elif keyword == "*NODE":
            nodes[int(line[:8])] = [float(line[8 + 16 * k : 24 + 16 * k]) for k in range(3)]
        elif keyword == "*ELEMENT_SOLID" and len(line) == 16:
            below = lines[i + 1]
            elements[int(line[:8])] = [int(below[k : k + 8]) for k in range(0, len(below), 8)]
    assert {len(each) for each in elements.values()} == {8 if order == 1 else 10}
    assert _volume(nodes, elements) == pytest.approx(_expected(fe_model), rel=1e-4)


@pytest.mark.parametrize("order", [1, 2])
def test_vtu_has_an_entry_for_every_cell_and_point(fe_model: FeModel, order: int) -> None:
    root = ET.fromstring(vtu_text(fe_model, order))
    piece = root.find("UnstructuredGrid/Piece")
    assert piece is not None
    cells = sum(part.quality.elements for part in fe_model.parts)
    assert int(str(piece.get("NumberOfCells"))) == cells
    names = {each.get("Name") for each in root.iter("DataArray")}
    assert {"part", "modulus_mpa", "density_g_cm3", "cortical", "scaled_jacobian", "hu", "ENDPLATE_SUP"} <= names
