"""Checks that need no reference: what is a neck passes, and each fault is found by the check that is made for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cspine.core.anatomy import VERTEBRAE, vertebra
from cspine.core.geometry import Grid, reorientation
from cspine.core.shape import LevelShape, shapes_of
from cspine.core.volumes import LabelVolume
from cspine.study.audits import anatomy_checks as checks
from cspine.study.audits.anatomy_checks import CheckOutcome
from cspine.study.audits.cord_rings import cord_rings
from cspine.study.audits.symmetry import mirror_dices
from tests.builders.spine_phantom import NECK, Phantom, canal, draw, spine


def test_a_whole_neck_passes_every_check_of_its_column() -> None:
    labels, shapes = spine()
    assert checks.check_order(shapes) == checks.AnatomyCheck("order", CheckOutcome.PASS, 8, "")
    assert checks.check_complete(shapes, labels.grid).outcome is CheckOutcome.PASS
    assert checks.check_volumes(shapes).value == 1.0
    spacing = checks.check_spacing(shapes)
    assert (spacing.outcome, spacing.value) == (CheckOutcome.PASS, pytest.approx(1.0, abs=0.05))
    symmetry = checks.check_symmetry(mirror_dices(labels, shapes))
    assert symmetry.outcome is CheckOutcome.PASS and symmetry.value is not None and symmetry.value > 0.95


def test_nothing_fails_order_and_completeness_and_leaves_the_rest_out() -> None:
    labels, shapes = spine(truth=np.zeros(NECK.shape_zyx, dtype=np.uint8))
    assert checks.check_order(shapes).outcome is CheckOutcome.FAIL
    assert checks.check_complete(shapes, labels.grid).outcome is CheckOutcome.FAIL
    for check in (checks.check_volumes(shapes), checks.check_spacing(shapes), checks.check_symmetry({})):
        assert check.outcome is CheckOutcome.NOT_APPLICABLE
    assert mirror_dices(labels, shapes) == {}


def test_a_missing_level_and_two_in_the_wrong_order() -> None:
    _, shapes = spine(Phantom(labels=(1, 2, 3, 5, 6, 7, 8)))
    assert checks.check_order(shapes).note == "C4 missing"
    _, swapped = spine(Phantom(labels=(1, 2, 4, 3, 5, 6, 7, 8)))
    assert "out of order" in checks.check_order(swapped).note


@pytest.mark.parametrize(
    ("labels", "missing"),
    [((2, 3, 4, 5, 6, 7, 8), "C1 missing"), ((1, 2, 3, 4, 5, 6, 7), "T1 missing"), ((4,), "C3 missing, C5 missing")],
)
def test_a_level_in_view_beyond_the_ends_is_missing(labels: tuple[int, ...], missing: str) -> None:
    truth = draw(NECK)
    volume, shapes = spine(truth=np.where(np.isin(truth, labels), truth, np.uint8(0)))
    assert checks.check_order(shapes).outcome is CheckOutcome.PASS
    assert checks.check_complete(shapes, volume.grid).note == missing


def test_a_column_may_end_where_the_image_ends() -> None:
    truth = draw(NECK)
    present = np.flatnonzero((truth == 4).any(axis=(1, 2)))
    cut = np.ascontiguousarray(truth[int(present[0]) - 8 :])  # C5 and what is below is out of view
    grid = Grid((cut.shape[0], *cut.shape[1:]), NECK.grid().affine_lps)
    shapes = shapes_of(np.where(cut > 4, np.uint8(0), cut), grid)
    assert [shape.vertebra.name for shape in shapes] == ["C1", "C2", "C3", "C4"]
    assert checks.check_complete(shapes, grid).outcome is CheckOutcome.PASS


def test_a_volume_that_no_adult_has_is_named_unless_the_edge_cuts_it() -> None:
    _, shapes = spine()
    small = tuple(replace(s, volume_mm3=900.0) if s.vertebra.name == "C5" else s for s in shapes)
    assert checks.check_volumes(small).note == "C5 0.9 ml"
    cut = tuple(replace(s, touches_edge=s.vertebra.name == "C5") for s in small)
    assert checks.check_volumes(cut).outcome is CheckOutcome.PASS


def test_a_distance_that_jumps_is_named() -> None:
    _, shapes = spine()
    moved = tuple(replace(s, centroid_lps=s.centroid_lps - [0, 0, 14.0]) if s.vertebra.label > 5 else s for s in shapes)
    found = checks.check_spacing(moved)
    assert found.outcome is CheckOutcome.FAIL
    assert "C5 to next 32 mm" in found.note and "factor of 1.8" in found.note
    assert set(checks.distances_mm(shapes)) == {"C1", "C2", "C3", "C4", "C5", "C6", "C7"}


#: Steps from each level to the next, C1 to L5, mm: a tall man.
TALL = [19.0, 19, 14, 15, 18, 16, 24, 19, 26, 29, 25, 29, 27, 31, 29, 31, 33, 35, 36, 38, 40, 40, 41]


def column(steps: list[float] = TALL, *, foot_mm: float = 30.0) -> tuple[tuple[LevelShape, ...], Grid]:
    """Shapes of C1 to L5 that lie so far apart, and an image that reaches so far below the last centroid."""
    _, (first, *_) = spine()
    names = [v.name for v in VERTEBRAE if v.name != "T13"][: len(steps) + 1]
    heights = -np.concatenate([[0.0], np.cumsum(steps)])
    shapes = tuple(
        replace(first, vertebra=vertebra(name), centroid_lps=np.array([0.0, 0.0, z]), touches_edge=False)
        for name, z in zip(names, heights, strict=True)
    )
    affine = np.eye(4)
    affine[:3, 3] = (-50.0, -50.0, heights[-1] - foot_mm)
    return shapes, Grid((round(20 + foot_mm - heights[-1]), 100, 100), affine)


def test_a_whole_spine_passes_though_its_steps_double() -> None:
    shapes, grid = column()
    assert checks.check_spacing(shapes).outcome is CheckOutcome.PASS
    assert checks.check_order(shapes).value == 24 and checks.check_complete(shapes, grid).outcome is CheckOutcome.PASS
    assert list(checks.distances_mm(shapes)) == [s.vertebra.name for s in shapes[:-1]]  # T12 to L1 is one step


@pytest.mark.parametrize(
    ("index", "note"), [(4, "C5 to next 36 mm"), (13, "T7 to next 62 mm"), (20, "L2 to next 80 mm")]
)
def test_a_double_step_anywhere_in_a_spine_is_named(index: int, note: str) -> None:
    steps = [step * (1 + (i == index)) for i, step in enumerate(TALL)]
    found = checks.check_spacing(column(steps)[0])
    assert found.outcome is CheckOutcome.FAIL and note in found.note and "factor of " in found.note


def test_a_spine_that_goes_below_t1_goes_on_to_l5_where_that_is_in_view() -> None:
    for last, missing in (("T8", "T9"), ("T12", "L1"), ("L4", "L5")):
        count = next(i for i, s in enumerate(column()[0]) if s.vertebra.name == last)
        shapes, grid = column(TALL[:count], foot_mm=60.0)
        assert checks.check_complete(shapes, grid).note == f"{missing} missing"
        assert checks.check_complete(*column(TALL[:count], foot_mm=20.0)).outcome is CheckOutcome.PASS
    assert checks.check_complete(*column(foot_mm=90.0)).outcome is CheckOutcome.PASS
    assert checks.check_complete(*column(TALL[:7], foot_mm=90.0)).outcome is CheckOutcome.PASS
    shapes, grid = column()
    assert checks.check_complete(shapes[19:], grid).note == "T12 missing"


def test_the_cord_runs_through_the_rings_and_not_beside_them() -> None:
    labels, shapes = spine()
    rings = cord_rings(labels, canal(), shapes)
    assert len(rings) == 8 and min(ring.closed for ring in rings.values()) >= 0.75
    assert checks.check_cord_ring(rings).value == 1.0
    beside = checks.check_cord_ring(cord_rings(labels, canal(aside_mm=30.0), shapes))
    assert (beside.outcome, beside.value) == (CheckOutcome.FAIL, 0.0)


def test_a_cord_in_the_bone_does_not_ring() -> None:
    labels, shapes = spine()
    body = np.roll(canal(), -16, axis=1)
    found = checks.check_cord_ring(cord_rings(labels, body, shapes))
    assert found.outcome is CheckOutcome.FAIL and "C3 100% closed, 76% in bone" in found.note


def test_no_cord_and_a_zone_to_spare_do_not_count() -> None:
    labels, shapes = spine()
    assert checks.check_cord_ring(None).outcome is CheckOutcome.NOT_APPLICABLE
    zone = cord_rings(labels, canal(radius_mm=15.0), shapes)
    assert zone == {} and checks.check_cord_ring(zone).outcome is CheckOutcome.NOT_APPLICABLE


@pytest.mark.parametrize("target", ["RAS", "PSL"])
def test_the_orientation_of_the_array_changes_nothing(target: str) -> None:
    labels, shapes = spine()
    change = reorientation(labels.affine_lps, target)
    reoriented = LabelVolume(np.ascontiguousarray(change.apply(labels.labels_zyx)), change.grid(labels.grid).affine_lps)
    there = shapes_of(reoriented.labels_zyx, reoriented.grid)
    cord = np.ascontiguousarray(change.apply(canal()))
    assert cord_rings(reoriented, cord, there) == cord_rings(labels, canal(), shapes)
    assert checks.check_complete(there, reoriented.grid).outcome is CheckOutcome.PASS
    other, here = mirror_dices(reoriented, there), mirror_dices(labels, shapes)
    assert other == pytest.approx(here, abs=0.03)


def test_an_organ_lies_at_the_level_of_its_height() -> None:
    labels, shapes = spine()
    _, _, z = NECK.centre_mm(4)
    organ = np.zeros(NECK.shape_zyx, dtype=bool)
    organ[round(z) - 3 : round(z) + 4, 5:15, 30:50] = True
    found = checks.check_organ("larynx", organ, labels, shapes)
    assert (found.outcome, found.note) == (CheckOutcome.PASS, "at C5")
    assert found.value == pytest.approx(5.0, abs=0.1)
    assert checks.check_organ("brainstem", organ, labels, shapes).outcome is CheckOutcome.FAIL
    assert checks.check_organ("larynx", None, labels, shapes).outcome is CheckOutcome.NOT_APPLICABLE
    assert checks.check_organ("larynx", organ, labels, shapes[:1]).outcome is CheckOutcome.NOT_APPLICABLE


def test_heights_beyond_the_column_go_on_with_its_last_distance() -> None:
    _, shapes = spine()
    top, bottom = shapes[0].centroid_lps[2], shapes[-1].centroid_lps[2]
    assert checks.position_at(top + 36, shapes) == pytest.approx(-1.0, abs=0.05)
    assert checks.position_at(bottom - 36, shapes) == pytest.approx(10.0, abs=0.05)
    assert checks.level_at(-1.0) == "above C1" and checks.level_at(10.2) == "at T3" and checks.level_at(99) == "at L6"
