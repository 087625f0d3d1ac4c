"""Numbers of nodes and elements."""

from __future__ import annotations

import numpy as np

from cspine.surfaces.fe_formats.numbered import MIDSIDE_EDGES, numbered, with_midside_nodes
from cspine.surfaces.fe_model import FeModel


def test_numbers_run_over_all_parts(fe_model: FeModel) -> None:
    parts = numbered(fe_model, 1)
    nodes = np.concatenate([part.node_numbers for part in parts])
    elements = np.concatenate([part.element_numbers for part in parts])
    np.testing.assert_array_equal(nodes, np.arange(1, len(nodes) + 1))
    np.testing.assert_array_equal(elements, np.arange(1, len(elements) + 1))
    for part in parts:
        assert np.isin(part.cells, part.node_numbers).all()


def test_midside_nodes_lie_in_the_middle_and_are_shared() -> None:
    points = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]])
    more, cells = with_midside_nodes(points, np.array([[0, 1, 2, 3], [1, 2, 3, 4]]))
    assert len(more) == 5 + 9
    for cell in cells:
        np.testing.assert_allclose(more[cell[4:]], more[cell[MIDSIDE_EDGES]].mean(axis=1))


def test_sets_of_quadratic_elements_have_the_midside_nodes_of_their_faces(fe_model: FeModel) -> None:
    linear, quadratic = (dict(numbered(fe_model, order)[0].node_sets()) for order in (1, 2))
    part = numbered(fe_model, 2)[0]
    corners, both = linear["C3_ENDPLATE_INF"], quadratic["C3_ENDPLATE_INF"]
    assert len(both) > 3 * len(corners)
    heights = part.points_lps[both - part.first_node][:, 2]
    of_corners = part.points_lps[corners - part.first_node][:, 2]
    assert of_corners.min() <= heights.min() <= heights.max() <= of_corners.max()
