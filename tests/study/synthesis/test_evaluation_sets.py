"""Complete sets: the same case from the same number, the same labels whatever the scanner does."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from cspine.core.errors import AtlasError
from cspine.study.synthesis.atlas import Atlas
from cspine.study.synthesis.case import synthesize_case
from cspine.study.synthesis.evaluation_sets import (
    MAX_CASES,
    PERTURBATIONS,
    SetCase,
    describe,
    set_case,
    synthesize_set_case,
)
from cspine.study.synthesis.neck import case as neck_case
from cspine.study.synthesis.neck.people import EVALUATION_PEOPLE, People
from cspine.study.synthesis.set_names import ARTICULATED, SETS
from cspine.study.synthetic_training.recipe import Recipe
from tests.builders.small_set import small_case
from tests.builders.tiny_atlas import PERFECT

_TRAINING_SLICES_MM = {0.6, 1.0, 1.25, 2.0, 2.5, 3.0, 4.0}


def _cases(set_name: str) -> list[SetCase]:
    return [set_case(set_name, number) for number in range(60)]


def test_seeds_of_sets_are_apart_from_each_other_and_from_training() -> None:
    firsts = list(SETS.values())
    for first, second in pairwise([*firsts, Recipe.model_fields["first_seed"].default]):
        assert first + MAX_CASES <= second


@pytest.mark.parametrize("set_name", list(SETS))
def test_grids_are_square_affordable_and_not_those_of_training(set_name: str) -> None:
    for case in _cases(set_name):
        x, y, z = case.spacing_xyz
        assert x == y
        assert 0.35 <= x <= 0.91
        assert z not in _TRAINING_SLICES_MM
        assert case.reconstruction.thickness_mm not in _TRAINING_SLICES_MM
        assert z <= case.reconstruction.thickness_mm  # no gaps
        assert np.prod(np.array(case.extent_xyz_mm) / case.spacing_xyz) < 20e6
        assert all(n == pytest.approx(round(n)) for n in np.array(case.extent_xyz_mm) / case.spacing_xyz)


def test_ordinary_cases_have_no_perturbation_and_the_whole_neck() -> None:
    for case in _cases("ordinary"):
        assert case.perturbations == ()
        assert case.extent_xyz_mm[2] > 140 * case.posture.scale_xyz[2]
        assert case.reconstruction.thickness_mm < 3


def test_perturbations_alternate() -> None:
    for number, case in enumerate(_cases("hard")):
        assert PERTURBATIONS[number % len(PERTURBATIONS)] in case.perturbations
        assert 1 <= len(case.perturbations) <= 3
        assert (case.reconstruction.thickness_mm == 4.5) == ("thick slices" in case.perturbations)


@pytest.mark.parametrize(("set_name", "number"), [("ordinary", 2), ("hard", 0), ("hard", 5), ("hard", 10)])
def test_the_same_number_gives_the_same_case(atlas: Atlas, set_name: str, number: int) -> None:
    ct, labels = synthesize_set_case(atlas, small_case(set_name, number))
    same_ct, same_labels = synthesize_set_case(atlas, small_case(set_name, number))
    assert np.array_equal(ct.hu_zyx, same_ct.hu_zyx)
    assert np.array_equal(labels.labels_zyx, same_labels.labels_zyx)
    other, _ = synthesize_set_case(atlas, small_case(set_name, number + 1))
    assert not np.array_equal(ct.hu_zyx, other.hu_zyx)


@pytest.mark.parametrize("perturbation", PERTURBATIONS)
def test_no_perturbation_moves_a_label_and_each_changes_the_image(atlas: Atlas, perturbation: str) -> None:
    plain = replace(small_case("hard", 0), perturbations=())
    if perturbation == "photon starvation":  # shoulders that leave the field of view
        plain = replace(plain, extent_xyz_mm=(24.0, 60.0, 90.0))
    hard = replace(plain, perturbations=(perturbation,))
    ct, labels = synthesize_set_case(atlas, hard)
    _, truth = synthesize_case(atlas, hard.seed, replace(hard.settings, imaging=None, scan=PERFECT))
    assert np.array_equal(labels.labels_zyx, truth.labels_zyx)
    assert set(range(1, 8)) <= set(np.unique(labels.labels_zyx))
    assert ct.hu_zyx.min() >= -1024
    assert ct.hu_zyx.max() <= 3071
    in_settings = {"cut field of view", "thick slices", "strong noise", "posture"}
    same = np.array_equal(ct.hu_zyx, synthesize_set_case(atlas, plain)[0].hu_zyx)
    assert same == (perturbation in in_settings)


def test_motion_doubles_contours(atlas: Atlas) -> None:
    still = replace(small_case("hard", 0), perturbations=())
    edges = []
    for perturbations in ((), ("motion",)):
        ct, _ = synthesize_set_case(atlas, replace(still, perturbations=perturbations))
        hu = torch.from_numpy(ct.hu_zyx.astype(np.float32))
        edges.append(float(((hu > -800) & (hu < -300)).float().mean()))
    assert edges[1] > 1.1 * edges[0]


def test_a_row_says_what_the_case_shows(atlas: Atlas) -> None:
    case = small_case("hard", 21)
    row = describe(case, synthesize_set_case(atlas, case)[1])
    assert row["case"] == "hard_20021"
    assert row["seed"] == "20021"
    assert row["kernel"] in ("smooth", "standard", "sharp")
    assert row["hard_because"].split("; ") == list(case.perturbations)
    assert row["spacing_mm"] == "1.5 1.5 2.5"
    assert "C5" in row["levels"].split()


# --- articulated necks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("set_name", ARTICULATED)
def test_articulated_sets_show_the_whole_neck_of_the_person_held_back(set_name: str) -> None:
    for case in _cases(set_name):
        assert case.perturbations == () and case.posture is None
        assert case.extent_xyz_mm[2] > 190
        settings = case.neck_settings
        assert settings.person == EVALUATION_PEOPLE[0]
        assert settings.internal_mm <= 0.7
        assert settings.blank == 0


def test_vessels_are_full_in_one_set_and_joints_worn_in_the_other() -> None:
    for angio, worn in zip(_cases("angio"), _cases("worn"), strict=True):
        contrast = angio.neck_settings.contrast
        assert (contrast.filled, contrast.strong, contrast.calcified, contrast.ossified) == (1.0, True, 1.0, 1.0)
        assert angio.neck_settings.worn is not None and angio.neck_settings.worn <= 0.3
        assert worn.neck_settings.worn is not None and worn.neck_settings.worn >= 0.85
        assert not worn.neck_settings.contrast.strong


@pytest.mark.parametrize("set_name", ARTICULATED)
def test_the_same_number_gives_the_same_articulated_case(
    atlas: Atlas, solid_people: People, set_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[set[str]] = []
    random_patient = neck_case.random_patient

    def spy(people: People, *more: object) -> neck_case.Patient:
        patient = random_patient(people, *more)  # type: ignore[arg-type]
        shown.append({bone.person for bone in patient.column if bone.label <= 5})
        return patient

    monkeypatch.setattr(neck_case, "random_patient", spy)
    (ct, labels), (same_ct, same_labels), (other, _) = (
        synthesize_set_case(atlas, small_case(set_name, number), solid_people) for number in (4, 4, 5)
    )
    assert np.array_equal(ct.hu_zyx, same_ct.hu_zyx)
    assert np.array_equal(labels.labels_zyx, same_labels.labels_zyx)
    assert not np.array_equal(ct.hu_zyx, other.hu_zyx)
    assert {1, 2, 3, 4, 5, 6, 7} <= set(np.unique(labels.labels_zyx))
    assert shown == [{EVALUATION_PEOPLE[0]}] * 3
    assert describe(small_case(set_name, 4), labels)["hard_because"] == ""


def test_articulated_sets_need_the_person_held_back(atlas: Atlas, solid_people: People) -> None:
    case = small_case("angio", 0)
    for people in (None, solid_people.chosen(evaluation=False)):
        with pytest.raises(AtlasError) as caught:
            synthesize_set_case(atlas, case, people)
        assert "anatomies" in caught.value.advice
