"""A column: whose bones it has, how large they are, and their positions."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from cspine.core.errors import AtlasError
from cspine.study.synthesis.neck.column import random_column
from cspine.study.synthesis.neck.people import ATLAS_PERSON, EVALUATION_PEOPLE, People
from tests.builders.raises import raises_code


@pytest.mark.parametrize("seed", range(5))
def test_a_column_has_every_level_of_the_atlas_and_stands_where_the_atlas_does(solid_people: People, seed: int) -> None:
    column = random_column(solid_people, np.random.default_rng(seed))
    assert [bone.label for bone in column] == sorted(solid_people.atlas.bones)
    rest = solid_people.atlas.bones
    neck = [bone for bone in column if bone.label <= 8]
    here = np.mean([bone.origin_mm for bone in neck], axis=0)
    there = np.mean([rest[bone.label].origin_mm for bone in neck], axis=0)
    assert here == pytest.approx(there, abs=1e-6)
    assert np.mean([bone.axes[2, 2] for bone in neck]) > 0.85
    for bone in column:
        assert bone.axes.T @ bone.axes == pytest.approx(np.eye(3), abs=1e-9)
        assert np.linalg.det(bone.axes) == pytest.approx(1)
    for upper, lower in pairwise(neck[2:]):
        below = upper.axes.T @ (lower.origin_mm - upper.origin_mm)
        assert -16 < below[2] < -4


def test_the_same_generator_gives_the_same_column_and_another_one_another(solid_people: People) -> None:
    first, same, other = (random_column(solid_people, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert all(np.array_equal(a.origin_mm, b.origin_mm) for a, b in zip(first, same, strict=True))
    assert not all(np.array_equal(a.origin_mm, b.origin_mm) for a, b in zip(first, other, strict=True))


def test_most_necks_consist_of_one_persons_vertebrae_and_some_of_several(solid_people: People) -> None:
    necks = [
        {bone.person for bone in random_column(solid_people, np.random.default_rng(seed)) if bone.label <= 5}
        for seed in range(60)
    ]
    alone = sum(len(names) == 1 for names in necks)
    assert 30 <= alone <= 55
    assert set().union(*necks) == {ATLAS_PERSON, "other", *EVALUATION_PEOPLE}


def test_one_person_is_completed_from_the_most_complete_other_one(solid_people: People) -> None:
    (first_person,) = EVALUATION_PEOPLE
    for seed in range(3):
        column = random_column(solid_people, np.random.default_rng(seed), person=first_person)
        assert [bone.person for bone in column] == [first_person] * 5 + ["other"] * 2 + [ATLAS_PERSON] * 4
        alone = random_column(solid_people.chosen(evaluation=True), np.random.default_rng(seed), person=first_person)
        assert [bone.person for bone in alone] == [first_person] * 5 + [ATLAS_PERSON] * 6


def test_bones_that_complete_a_neck_have_the_size_of_its_person(solid_people: People) -> None:
    people = solid_people.chosen(evaluation=True)
    for seed in range(3):
        column = random_column(people, np.random.default_rng(seed), person=EVALUATION_PEOPLE[0])
        own, completed = ([b.size for b in column if (b.label <= 5) == mine] for mine in (True, False))
        assert np.mean(completed) == pytest.approx(np.mean(own), rel=0.06)


def test_a_name_without_vertebrae_is_an_error_with_advice(solid_people: People) -> None:
    with raises_code(AtlasError, "artisynth") as caught:
        random_column(solid_people.chosen(evaluation=False), np.random.default_rng(0), person="artisynth")
    assert caught.value.advice


def test_a_point_of_a_bone_follows_its_pose_and_size(solid_people: People) -> None:
    bone = random_column(solid_people, np.random.default_rng(1))[4]
    assert bone.point(0, 0, 0) == pytest.approx(bone.origin_mm)
    along = bone.point(0, 0, 5) - bone.origin_mm
    assert np.linalg.norm(along) == pytest.approx(5 * bone.scale_xyz[2])
    assert along / np.linalg.norm(along) == pytest.approx(bone.axes[:, 2])
