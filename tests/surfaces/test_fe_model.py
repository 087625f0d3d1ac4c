"""The finite-element model of simple vertebrae."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from cspine.core.anatomy import parse_levels
from cspine.core.errors import MeshError, NoVertebraError, OtherImageError, UsageError
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.surfaces import fe_model as fe_model_module
from cspine.surfaces.fe_model import CORTICAL, TRABECULAR, FeModel, FePart, build_model
from cspine.surfaces.fe_settings import FeSettings
from cspine.surfaces.fe_write import report_of
from cspine.surfaces.material import density_of, modulus_of
from tests.builders.solid_vertebrae import BODY_MM, STEP_MM, column, two_balls, uniform_ct


def _middle(fe_model: FeModel) -> FePart:
    return next(part for part in fe_model.parts if part.name == "C4")


def _nodes(part: FePart, name: str) -> np.ndarray:
    return part.mesh.points_lps[part.node_sets[name]]


def test_every_part_is_acceptable_and_none_is_rejected(fe_model: FeModel) -> None:
    assert [part.name for part in fe_model.parts] == ["C3", "C4", "C5", "DISC_C3_C4", "DISC_C4_C5"]
    assert all(part.quality.is_acceptable for part in fe_model.parts)
    assert fe_model.rejected == {}


def test_end_plates_lie_at_the_ends_of_the_body(fe_model: FeModel) -> None:
    for name, sign in (("ENDPLATE_SUP", 1), ("ENDPLATE_INF", -1)):
        plate = _nodes(_middle(fe_model), name)
        assert np.median(plate[:, 2]) == pytest.approx(-STEP_MM + sign * BODY_MM / 2, abs=0.7)
        assert np.abs(plate[:, 2] + STEP_MM - sign * BODY_MM / 2).max() < 3.5
        assert plate[:, 1].max() < -6
        assert np.ptp(plate[:, 0]) > 10


def test_facets_lie_beside_the_canal_on_their_sides(fe_model: FeModel) -> None:
    for side, sign in (("L", 1), ("R", -1)):
        upper, lower = (_nodes(_middle(fe_model), f"FACET_{part}_{side}") for part in ("SUP", "INF"))
        assert (sign * upper[:, 0]).min() > 5
        assert upper[:, 2].mean() > lower[:, 2].mean() + 5


def test_ligaments_attach_where_they_should(fe_model: FeModel) -> None:
    part = _middle(fe_model)
    assert _nodes(part, "LIG_ALL")[:, 1].mean() < -20
    assert -9 < _nodes(part, "LIG_PLL")[:, 1].mean() < -5
    assert _nodes(part, "LIG_LF")[:, 1].mean() > 4
    assert _nodes(part, "LIG_SSL")[:, 1].mean() > 25
    assert _nodes(part, "LIG_ISL_SUP")[:, 2].mean() > _nodes(part, "LIG_ISL_INF")[:, 2].mean() + 5
    capsule = cKDTree(_nodes(part, "FACET_SUP_L")).query(_nodes(part, "LIG_CL_SUP_L"))[0]
    assert capsule.max() < 6


def test_shell_and_core_are_the_whole_vertebra(fe_model: FeModel) -> None:
    part = _middle(fe_model)
    shell, core = part.element_sets[CORTICAL], part.element_sets[TRABECULAR]
    np.testing.assert_array_equal(np.sort(np.concatenate([shell, core])), np.arange(part.quality.elements))
    outer = cKDTree(part.mesh.points_lps[np.unique(part.faces)])
    depth = [outer.query(part.mesh.points_lps[part.mesh.tetrahedra[each]].mean(axis=1))[0] for each in (shell, core)]
    assert depth[0].mean() < depth[1].mean()


def test_a_uniform_image_gives_one_material(fe_model: FeModel) -> None:
    part = _middle(fe_model)
    assert len(part.materials) == 1
    assert part.materials[0].modulus_mpa == pytest.approx(modulus_of(density_of(np.array(400.0))))
    assert part.hu is not None
    np.testing.assert_allclose(part.hu, 400)


def test_discs_fill_the_space_between_end_plates(fe_model: FeModel) -> None:
    disc = fe_model.discs[0]
    height = STEP_MM - BODY_MM
    plates = [np.median(_nodes(disc, name)[:, 2]) for name in ("ENDPLATE_SUP", "ENDPLATE_INF")]
    assert plates[0] - plates[1] == pytest.approx(height, abs=1)
    assert 0.4 * np.pi * 9 * 7.5 * height < disc.quality.volume_mm3 < 1.1 * np.pi * 9 * 7.5 * height
    upper = cKDTree(_nodes(fe_model.vertebrae[0], "ENDPLATE_INF"))
    assert np.median(upper.query(_nodes(disc, "ENDPLATE_SUP"))[0]) < 2.5


def test_no_disc_fills_the_place_of_a_missing_vertebra() -> None:
    model = build_model(column(("C3", "C5")), None, FeSettings(edge_mm=3.0, discs=True))
    assert [part.name for part in model.parts] == ["C3", "C5"]


def test_no_disc_fills_the_place_of_a_vertebra_without_a_mesh(monkeypatch: pytest.MonkeyPatch) -> None:
    problems = iter(("", "has no element", ""))
    monkeypatch.setattr(fe_model_module, "_problem", lambda mesh, settings: next(problems))
    model = build_model(column(), None, FeSettings(edge_mm=3.0, discs=True))
    assert [part.name for part in model.parts] == ["C3", "C5"] and list(model.rejected) == ["C4"]


def test_a_disc_that_cannot_be_made_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = FeSettings(edge_mm=3.0, discs=True)
    monkeypatch.setattr(fe_model_module, "disc_mesh", lambda *a: None)
    model = build_model(column(("C3", "C4")), None, settings)
    assert not model.discs and list(model.without_disc) == ["C3-C4"]
    assert report_of(model, settings)["without_disc"] == dict(model.without_disc)


def test_a_disc_of_bad_elements_is_left_out_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    problems = iter(("", "", "has 2 inverted elements"))
    monkeypatch.setattr(fe_model_module, "_problem", lambda mesh, settings: next(problems))
    model = build_model(column(("C3", "C4")), None, FeSettings(edge_mm=3.0, discs=True))
    assert not model.discs and model.rejected == {"DISC_C3_C4": "has 2 inverted elements"}


def test_facets_do_not_depend_on_a_vertebra_beyond_a_missing_level() -> None:
    settings = FeSettings(edge_mm=3.0)
    alone = build_model(column(("C3", "C6")), None, FeSettings(edge_mm=3.0, levels=parse_levels("C3")))
    beside = build_model(column(("C3", "C6")), None, settings)
    assert set(beside.vertebrae[0].regions) == set(alone.vertebrae[0].regions)
    assert "FACET_INF_L" in beside.vertebrae[0].regions


def test_an_image_that_does_not_show_a_level_is_refused() -> None:
    labels = column(("C3", "C4"))
    ct = uniform_ct(labels, 400)
    beside = ct.affine_lps.copy()
    beside[0, 3] += 500
    lower_half = CtVolume(ct.hu_zyx[: len(ct.hu_zyx) // 2], ct.affine_lps)
    for image, levels in ((CtVolume(ct.hu_zyx, beside), None), (lower_half, None), (lower_half, parse_levels("C3"))):
        with pytest.raises(OtherImageError) as refused:
            build_model(labels, image, FeSettings(edge_mm=4.0, levels=levels))
        assert refused.value.code == "CS-IN-008"
    lower = np.flatnonzero((labels.labels_zyx == 3).any(axis=(1, 2)))[0]
    with_c4 = CtVolume(ct.hu_zyx[: lower + 14], ct.affine_lps)
    model = build_model(labels, with_c4, FeSettings(edge_mm=4.0, levels=parse_levels("C4")))
    assert [part.name for part in model.vertebrae] == ["C4"]


def test_a_vertebra_that_the_image_cuts_has_a_mesh() -> None:
    labels = column(("C4",))
    cut = LabelVolume(labels.labels_zyx[:28], labels.affine_lps)
    half_a_voxel = cut.affine_lps.copy()
    half_a_voxel[2, 3] -= 0.5
    image = uniform_ct(cut, 400)
    for affine in (cut.affine_lps, half_a_voxel):
        (part,) = build_model(cut, CtVolume(image.hu_zyx, affine), FeSettings(edge_mm=4.0)).vertebrae
        assert part.is_cut and part.hu is not None
        np.testing.assert_allclose(part.hu, 400)


@pytest.mark.parametrize("gap", [0.5, 1.5])
def test_gaps_are_kept_between_elements(gap: float) -> None:
    model = build_model(two_balls(12.0), None, FeSettings(edge_mm=2.0, facet_gap_mm=gap, disc_gap_mm=gap))
    assert model.distances_mm["C3", "C4"] > gap - 0.15


def test_without_an_image_shell_and_core_have_a_material_each() -> None:
    part = build_model(two_balls(20.0), None, FeSettings(edge_mm=2.5)).vertebrae[0]
    assert [each.name for each in part.materials] == ["CORTICAL_BONE", "TRABECULAR_BONE"]
    np.testing.assert_array_equal(np.flatnonzero(part.group == 0), part.element_sets[CORTICAL])


def test_a_level_that_cannot_be_meshed_is_left_out_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = two_balls(20.0)
    small = labels.labels_zyx.copy()
    small[small == 4] = 0
    small[5, 15, 15] = 4
    small_labels = type(labels)(small, labels.affine_lps)
    model = build_model(small_labels, None, FeSettings(edge_mm=5.0))
    assert [part.name for part in model.vertebrae] == ["C3"]
    assert list(model.rejected) == ["C4"]
    with pytest.raises(MeshError):
        build_model(small_labels, None, FeSettings(edge_mm=5.0, levels=parse_levels("C4")))


def test_levels_that_are_absent_are_refused() -> None:
    with pytest.raises(NoVertebraError):
        build_model(column(("C4",)), None, FeSettings(levels=parse_levels("L1")))


def test_a_line_in_other_units_is_refused(fe_model: FeModel) -> None:
    labels = column(("C4",))
    ct = uniform_ct(labels, 400)
    for line in ((0.8, 10.0), (0.047, 1.122)):  # mg/cm3; swapped
        with pytest.raises(UsageError):
            build_model(labels, ct, FeSettings(edge_mm=4, density_line=line))
    assert all(part.clipped_share == 0 for part in fe_model.parts)
