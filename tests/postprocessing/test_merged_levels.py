"""A label that two vertebrae carry is reported, and natural sizes are not."""

from __future__ import annotations

import numpy as np
import pytest

from cspine.core.anatomy import vertebra
from cspine.core.findings import Severity
from cspine.core.geometry import Grid
from cspine.core.shape import shapes_of
from cspine.postprocessing.merged_levels import merged_level_findings
from tests.builders.spine_phantom import NORMAL, Phantom, Trunk, draw


def levels(labels: np.ndarray, grid) -> list[str | None]:
    found = merged_level_findings(shapes_of(labels, grid), labels, grid)
    assert all(finding.code == "CS-FND-027" and finding.severity is Severity.SERIOUS for finding in found)
    return [finding.level for finding in found]


def united(labels: np.ndarray, upper: str, lower: str) -> np.ndarray:
    """Give the lower vertebra the upper one's name, and those below it the names of the ones above them."""
    names = [*NORMAL, vertebra("L6").label]
    changed = labels.copy()
    start = names.index(vertebra(lower).label)
    for before, after in zip(names[start - 1 :], names[start:], strict=False):
        changed[labels == after] = before
    assert vertebra(upper).label == names[start - 1]
    return changed


def test_complete_spines_have_none() -> None:
    assert levels(draw(Phantom()), Phantom().grid()) == []
    for trunk in (Trunk(), Trunk(labels=(*NORMAL, vertebra("L6").label)), Trunk(bend_mm=40.0)):
        assert levels(trunk.draw()[0], trunk.grid()) == []


@pytest.mark.parametrize("pair", [("C4", "C5"), ("T5", "T6"), ("L2", "L3"), ("L5", "L6")])
def test_two_vertebrae_with_one_name_are_reported(pair: tuple[str, str]) -> None:
    trunk = Trunk(labels=(*NORMAL, vertebra("L6").label))
    assert levels(united(trunk.draw()[0], *pair), trunk.grid()) == [pair[0]]


#: Volumes of C1..C6 of the Visible Human Male, and of the ArtiSynth model, ml.
NECKS = [(15.0, 19.4, 13.2, 13.7, 13.7, 15.4), (18.1, 20.5, 12.4, 13.0, 14.4, 14.6)]


def blocks(volumes_ml: tuple[float, ...]) -> np.ndarray:
    """Blocks of 20 mm x 25 mm, one below the other, with these volumes."""
    labels = np.zeros((sum(round(2 * volume) + 2 for volume in volumes_ml) + 4, 30, 30), np.uint8)
    top = len(labels) - 2
    for label, volume in enumerate(volumes_ml, 1):
        labels[top - round(2 * volume) : top, 2:22, 2:27] = label
        top -= round(2 * volume) + 2
    return labels


@pytest.mark.parametrize("neck", NECKS)
def test_the_uppermost_levels_are_compared_with_those_below(neck: tuple[float, ...]) -> None:
    labels = blocks(neck)
    grid = Grid((labels.shape[0], 30, 30), np.eye(4))
    assert levels(labels, grid) == []
    for upper, lower in (("C1", "C2"), ("C2", "C3")):
        assert levels(united(labels, upper, lower), grid) == [upper]


def test_the_sentence_has_the_numbers() -> None:
    trunk = Trunk(labels=(*NORMAL, vertebra("L6").label))
    labels = united(trunk.draw()[0], "L5", "L6")
    (finding,) = merged_level_findings(shapes_of(labels, trunk.grid()), labels, trunk.grid())
    assert all(word in finding.sentence for word in ("L5", "2.0", "2.2", "L4"))


def test_a_cut_neighbour_a_sliver_and_the_uppermost_levels_say_nothing() -> None:
    predicted, grid = draw(Phantom()), Phantom().grid()
    alone = np.where(np.isin(predicted, (1, 2, 3)), predicted, 0).astype(np.uint8)
    alone[predicted == 4] = 3
    assert levels(alone, grid) == []  # only C2 beside it
    cut = predicted[: int(np.argwhere(predicted == 3)[:, 0].max()) + 1].copy()
    cut[cut == 3] = 0
    cut[-1, 40, 40] = 3
    assert 3 in cut and "C4" not in levels(cut, grid)
    trunk = Trunk(labels=(18, 19, 28, 20, 21, 22))
    sliver = trunk.draw()[0]
    thirteenth = np.argwhere(sliver == 28)
    sliver[sliver == 28] = 0
    sliver[tuple(thirteenth[: len(thirteenth) // 10].T)] = 28
    assert levels(sliver, trunk.grid()) == []


def test_a_neighbour_of_no_length_is_no_measure() -> None:
    """One voxel directly below: there is nothing to compare with."""
    trunk = Trunk(labels=(23, 24))
    labels = trunk.draw()[0]
    upper = np.argwhere(labels == 23)
    z, y, x = np.median(np.argwhere(labels == 24), axis=0).astype(int)
    labels[labels == 24] = 0
    labels[z, y, x] = 24
    assert len(upper) > 100 and levels(labels, trunk.grid()) == []
