"""Measurements against vertebrae of known dimensions."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy import ndimage

from cspine.core.geometry import Grid, reorientation
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.measurements.quantities import QUANTITIES, Scope, quantity
from cspine.measurements.spine import SpineMeasurements, measure_spine
from cspine.study.synthesis.known_spine import KnownSpine, known_spine, known_values

#: A lordotic spine that was turned on the table.
PITCHES = (0.0, 0.0, 2.0, 4.0, 6.0, 9.0, 13.0, 16.0)
TURNED = (5.0, -4.0, 12.0)
#: Values of labels without error lie within this many of the stated uncertainties, nearly all within two.
FACTOR = 4.0


def spine_of(levels: tuple[str, ...], rotation_deg: tuple[float, float, float] = TURNED) -> KnownSpine:
    """The vertebrae of some levels."""
    spine = known_spine(PITCHES, rotation_deg)
    return replace(spine, vertebrae=tuple(v for v in spine.vertebrae if v.level in levels))


def ct_on(labels: LabelVolume, bone_hu: int = 300) -> CtVolume:
    hu = np.where(labels.labels_zyx > 0, bone_hu, 40).astype(np.int16)
    return CtVolume(hu, labels.affine_lps)


@cache
def measured(spacing: tuple[float, float, float]) -> tuple[KnownSpine, SpineMeasurements]:
    spine = known_spine(PITCHES, TURNED)
    labels = spine.draw(spine.grid(spacing, (0.3, 0.6, 0.1)))
    return spine, measure_spine(labels, ct_on(labels))


@pytest.mark.parametrize("spacing", [(0.8, 0.8, 1.0), (0.9, 0.9, 2.0)])
def test_known_dimensions_are_found_within_their_uncertainty(spacing: tuple[float, float, float]) -> None:
    spine, found = measured(spacing)
    known = known_values(spine)
    assert len(known) >= 100
    wrong, near = {}, 0
    for (site, name), answer in known.items():
        value = found.value(site, name)
        allowed = next(each.uncertainty for each in found.at(site) if each.quantity.name == name)
        assert value is not None and allowed is not None, (site, name)
        if abs(value - answer) > FACTOR * allowed:
            wrong[site, name] = (value, answer, allowed)
        near += abs(value - answer) <= 2 * allowed
    assert wrong == {} and near / len(known) > 0.9


def test_segmental_angles_add_up_to_the_cobb_angle() -> None:
    _, found = measured((0.8, 0.8, 1.0))
    angles = [found.value(f"C{i}/C{i + 1}", "angle_deg") for i in range(2, 7)]
    cobb = found.value("column", "lordosis_cobb_deg")
    assert cobb is not None and sum(a for a in angles if a is not None) == pytest.approx(cobb, abs=0.5)


def test_discs_and_facet_joints_of_a_straight_spine() -> None:
    spine = known_spine(step_mm=17.0)
    spine = replace(spine, vertebrae=tuple(v for v in spine.vertebrae if v.level in ("C4", "C5")))
    labels = spine.draw(spine.grid((0.5, 0.5, 0.5)))
    found = measure_spine(labels, ct_on(labels))
    upper, lower = spine.vertebrae
    for name, share in (("anterior", 0.15), ("middle", 0.5), ("posterior", 0.85)):
        gap = 17.0 - upper.height_at(share) / 2 - lower.height_at(share) / 2
        assert found.value("C4/C5", f"disc_height_{name}_mm") == pytest.approx(gap, abs=0.3)
    for side in ("right", "left"):
        assert found.value("C4/C5", f"facet_gap_{side}_mm") == pytest.approx(17.0 - upper.lateral, abs=0.3)


def grids_of(spine: KnownSpine) -> dict[str, Grid]:
    plain = spine.grid((0.8, 0.8, 1.2))
    tilted = plain.affine_lps.copy()
    tilted[1, 2] = 0.25  # the gantry was tilted: each slice lies further back
    tilted[1, 3] -= 0.25 * plain.shape_zyx[0] / 2
    return {"plain": plain, "sheared": Grid(plain.shape_zyx, tilted)}


def test_a_sheared_grid_changes_no_value_beyond_its_uncertainty() -> None:
    spine = spine_of(("C4", "C5"))
    found = {}
    for name, grid in grids_of(spine).items():
        labels = spine.draw(grid)
        found[name] = measure_spine(labels, ct_on(labels))
    compared = 0
    for each in found["plain"].values:
        other = found["sheared"].value(each.site, each.quantity.name)
        if each.uncertainty is not None and "hu" not in each.quantity.name:
            assert other == pytest.approx(each.value, abs=FACTOR * each.uncertainty), (each.site, each.quantity.name)
            compared += 1
    assert compared > 30


@pytest.mark.parametrize("target", ["RAS", "SPL", "AIR"])
def test_the_order_of_the_array_changes_nothing(target: str) -> None:
    spine = spine_of(("C5", "C6"))
    labels = spine.draw(spine.grid((0.9, 0.9, 1.5)))
    ct = ct_on(labels)
    change = reorientation(labels.affine_lps, target)
    affine = change.grid(labels.grid).affine_lps
    other = measure_spine(
        LabelVolume(change.apply(labels.labels_zyx), affine), CtVolume(change.apply(ct.hu_zyx), affine)
    )
    plain = measure_spine(labels, ct)
    assert [(v.site, v.quantity.name) for v in other.values] == [(v.site, v.quantity.name) for v in plain.values]
    for one, two in zip(plain.values, other.values, strict=True):
        assert two.value == pytest.approx(one.value, abs=2 * 10**-one.quantity.digits), (one.site, one.quantity.name)


def test_left_and_right_are_those_of_the_patient() -> None:
    spine = spine_of(("C4", "C5"), (0.0, 0.0, 0.0))
    labels = spine.draw(spine.grid((0.6, 0.6, 0.6)))
    z, _, x = np.meshgrid(*(np.arange(n) for n in labels.labels_zyx.shape), indexing="ij")
    left_lps = labels.affine_lps[0, 0] * x + labels.affine_lps[0, 3]
    middle = spine.origin_lps[0]
    # Part of the right articular process of C4 is missing, so that the right joint is wider.
    heights = labels.affine_lps[2, 2] * z + labels.affine_lps[2, 3]
    centre = spine.position_lps("C4", np.zeros((1, 3)))[0, 2]
    worn = (labels.labels_zyx == 4) & (left_lps < middle - 11) & (heights < centre - 5)
    labels = LabelVolume(np.where(worn, np.uint8(0), labels.labels_zyx), labels.affine_lps)
    found = measure_spine(labels, ct_on(labels))
    right, left = (found.value("C4/C5", f"facet_gap_{side}_mm") for side in ("right", "left"))
    assert right is not None and left is not None and right > left + 1


def test_an_incomplete_vertebra_has_no_values_and_no_pair() -> None:
    spine = spine_of(("C4", "C5", "C6"), (0.0, 0.0, 0.0))
    labels = spine.draw(spine.grid((1.0, 1.0, 1.0)))
    lowest = int(np.argwhere(labels.labels_zyx == 6)[:, 0].min())
    affine = labels.affine_lps.copy()
    affine[2, 3] += lowest + 4
    cut = LabelVolume(labels.labels_zyx[lowest + 4 :], affine)
    found = measure_spine(cut, ct_on(cut))
    assert [v.touches_edge for v in found.vertebrae] == [False, False, True]
    assert found.at("C6") == () and found.vertebrae[2].values == {}
    assert found.pairs == ("C4/C5",)
    assert found.value("C5", "body_depth_mm") is not None


def test_trabecular_bone_lies_within_the_cortex() -> None:
    spine = spine_of(("C5",))
    labels = spine.draw(spine.grid((0.7, 0.7, 0.7)))
    depth = ndimage.distance_transform_edt(labels.labels_zyx == 5) * 0.7
    hu = np.where(depth == 0, 40, np.where(depth < 1.5, 900, 220)).astype(np.int16)
    found = measure_spine(labels, CtVolume(hu, labels.affine_lps))
    assert found.value("C5", "trabecular_hu") == pytest.approx(220, abs=3)
    assert found.value("C5", "eroded_body_hu") == pytest.approx(220, abs=3)
    assert found.value("C5", "p90_hu") == 900 and found.value("C5", "mean_hu") > 300


def test_a_fragment_has_a_volume_and_no_dimensions() -> None:
    labels = np.zeros((30, 40, 40), dtype=np.uint8)
    labels[10:14, 10:20, 10:22] = 4
    volume = LabelVolume(labels, np.diag([1.0, 1.0, 1.0, 1.0]))
    found = measure_spine(volume, ct_on(volume))
    assert found.value("C4", "volume_ml") == pytest.approx(0.48)
    assert found.value("C4", "body_depth_mm") is None and found.value("C4", "canal_diameter_mm") is None


@pytest.mark.parametrize("site", ["c3", "C9", "C4-C5", "C3/C5", "C4/C3", "C3/C4/C5", "", "spine"])
def test_a_site_that_no_spine_has_is_an_error_like_an_unknown_quantity(site: str) -> None:
    spine = SpineMeasurements((), ())
    with pytest.raises(KeyError):
        spine.value(site, "body_depth_mm")
    with pytest.raises(KeyError):
        spine.at(site)


@pytest.mark.parametrize("site", ["C3", "T13", "L6", "C3/C4", "T11/L1", "T12/T13", "column"])
def test_a_site_that_was_not_measured_has_no_value(site: str) -> None:
    assert SpineMeasurements((), ()).value(site, "body_depth_mm") is None


def test_published_values_give_z_scores_by_sex() -> None:
    spine = spine_of(("C5",))
    labels = spine.draw(spine.grid((0.8, 0.8, 0.8)))
    man, woman, unknown = (measure_spine(labels, ct_on(labels), sex) for sex in ("M", "F", ""))
    width = {sex: next(v for v in each.at("C5") if v.quantity.name == "body_width_mm") for sex, each in
             (("M", man), ("F", woman), ("", unknown))}  # fmt: skip
    assert width["M"].published.mean == 24.6 and width["F"].published.mean == 23.0 and width[""].published.mean == 23.6
    assert width["M"].z_score == pytest.approx((width["M"].value - 24.6) / 2.4, abs=0.01)
    assert not width["M"].is_outside
    heights = next(v for v in man.at("C5") if v.quantity.name == "wedge_ratio")
    assert heights.published is None and heights.z_score is None and not heights.is_outside


def test_every_quantity_has_its_scope_and_a_name_of_its_own() -> None:
    assert len({each.name for each in QUANTITIES}) == len(QUANTITIES)
    assert quantity("t1_slope_deg").scope is Scope.COLUMN
    with pytest.raises(KeyError):
        quantity("no_such_quantity")


def test_bones_whose_labels_touch_have_no_space_between_them() -> None:
    spine = known_spine(step_mm=15.0)  # as high as the lateral masses: the facet joints are closed
    spine = replace(spine, vertebrae=tuple(v for v in spine.vertebrae if v.level in ("C4", "C5")))
    labels = spine.draw(spine.grid((0.8, 0.8, 0.8)))
    found = measure_spine(labels, ct_on(labels))
    assert found.value("C4/C5", "facet_gap_right_mm") is None and found.value("C4/C5", "facet_gap_left_mm") is None
    assert found.value("C4/C5", "disc_height_middle_mm") is not None


def test_two_that_are_no_neighbours_have_no_values_of_a_pair() -> None:
    spine = spine_of(("C3", "C4", "C5"), (0.0, 0.0, 0.0))
    labels = spine.draw(spine.grid((1.0, 1.0, 1.0)))
    wrong = replace(labels, labels_zyx=np.array([0, 1, 2, 3, 0, 4], np.uint8)[labels.labels_zyx])  # C5 is called C4
    right, found = (measure_spine(each, ct_on(labels)) for each in (labels, wrong))
    assert right.value("C3/C4", "disc_height_middle_mm") is not None and right.value("C3/C4", "angle_deg") is not None
    assert [v for v in found.at("C3/C4") if not v.quantity.name.startswith("facet")] == []


@pytest.mark.parametrize("seed", range(6))
def test_damaged_labels_give_finite_values_or_none(seed: int) -> None:
    rng = np.random.default_rng(seed)
    spine = spine_of(("C1", "C2", "C3", "C4"))
    labels = spine.draw(spine.grid((1.5, 1.5, 2.5)))
    holes = ndimage.gaussian_filter(rng.normal(size=labels.labels_zyx.shape), rng.uniform(1, 4))
    worn = np.where(holes > np.quantile(holes, rng.uniform(0.3, 0.95)), np.uint8(0), labels.labels_zyx)
    worn[worn == rng.integers(1, 5)] = rng.integers(1, 5)
    volume = LabelVolume(worn, labels.affine_lps)
    assert all(np.isfinite(each.value) for each in measure_spine(volume, ct_on(volume)).values)
