"""People: their vertebrae in one common frame, cached for the next call, refused with advice where absent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cspine.core.anatomy import vertebra
from cspine.core.errors import AtlasError
from cspine.study.synthesis.neck import people as module
from cspine.study.synthesis.neck.people import (
    ATLAS_PERSON,
    EVALUATION_PEOPLE,
    People,
    fit_frame,
    load_people,
    people_checksum,
)
from tests.builders.raises import raises_code
from tests.builders.solid_people import moved, vertebra_mesh, write_meshes, write_person


@pytest.mark.parametrize(
    ("size", "degrees", "to"),
    [(1.0, (0, 0, 0), (0, 0, 0)), (1.25, (12, -5, 8), (40, -20, 300)), (0.85, (-15, 6, -4), (5, 5, 5))],
)
def test_a_frame_is_found_again_after_a_known_similarity(
    size: float, degrees: tuple[float, float, float], to: tuple[float, float, float]
) -> None:
    frame, found = fit_frame(moved(vertebra_mesh(), size, degrees, to), vertebra_mesh())
    assert found == pytest.approx(size, rel=0.02)
    assert frame.origin_mm == pytest.approx(np.array(to), abs=0.5)
    expected = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    away = Rotation.from_matrix(frame.axes.T @ expected).magnitude()
    assert np.degrees(away) < 2.5


def test_every_person_has_the_levels_of_the_files_in_the_atlas_frames(solid_people: People) -> None:
    assert sorted(solid_people.atlas.bones) == list(range(1, 12))
    by_name = {person.name: person for person in solid_people.others}
    assert sorted(by_name["other"].bones) == list(range(1, 8))
    assert sorted(by_name[EVALUATION_PEOPLE[0]].bones) == list(range(1, 6))
    sizes = [bone.size for bone in by_name["other"].bones.values()]
    assert sizes == pytest.approx([1.2] * 7, rel=0.03)
    assert {bone.size for bone in solid_people.atlas.bones.values()} == {1.0}
    # The same frame: the centre of the body at the origin, from C3 down.
    for person in (solid_people.atlas, *solid_people.others):
        bone = person.bones[5]
        x, y, z = np.round(-bone.low_xyz / bone.step_mm).astype(int)
        assert bone.distance_mm[z, y, x] == pytest.approx(3.2 * bone.size, abs=0.4)


def test_people_held_back_are_never_chosen_for_training(solid_people: People) -> None:
    training, evaluation = (solid_people.chosen(evaluation=is_evaluation) for is_evaluation in (False, True))
    assert [person.name for person in training.others] == ["other"]
    assert [person.name for person in evaluation.others] == list(EVALUATION_PEOPLE)
    assert training.atlas is evaluation.atlas is solid_people.atlas


def test_fields_from_the_cache_are_those_that_were_computed(
    tmp_path: Path, mesh_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_person(tmp_path / "p" / "a:b", "C2", 1.1)
    first = load_people(mesh_folder, tmp_path / "p", tmp_path / "cache")
    (kept,) = (tmp_path / "cache").iterdir()
    assert people_checksum(mesh_folder, tmp_path / "p")[:16] in kept.name
    monkeypatch.setattr(module, "signed_distance_lattice", None)
    again = load_people(mesh_folder, tmp_path / "p", tmp_path / "cache")
    assert [person.name for person in again.others] == ["a:b"]
    for one, other in zip((first.atlas, *first.others), (again.atlas, *again.others), strict=True):
        assert one.bones.keys() == other.bones.keys()
        for label, bone in one.bones.items():
            same = other.bones[label]
            assert np.array_equal(bone.distance_mm, same.distance_mm)
            assert np.array_equal(bone.low_xyz, same.low_xyz)
            assert np.array_equal(bone.axes, same.axes)
            assert (bone.size, bone.step_mm) == (same.size, same.step_mm)


def test_another_mesh_is_another_checksum(tmp_path: Path, mesh_folder: Path) -> None:
    folder = write_person(tmp_path / "p" / "a", "C2", 1.1).parent
    before = people_checksum(mesh_folder, folder)
    assert before != people_checksum(mesh_folder, None)
    write_person(folder / "a", "C2", 1.15)
    assert people_checksum(mesh_folder, folder) != before


def test_absent_meshes_are_an_error_with_advice(tmp_path: Path, mesh_folder: Path) -> None:
    with pytest.raises(AtlasError) as caught:
        load_people(tmp_path, None)
    assert caught.value.code == "CS-SYN-001" and caught.value.advice
    for anatomies in (tmp_path / "absent", tmp_path):
        with pytest.raises(AtlasError) as caught:
            people_checksum(mesh_folder, anatomies)
        assert "folder per person" in caught.value.advice


def test_an_atlas_that_ends_too_early_is_refused(tmp_path: Path) -> None:
    with raises_code(AtlasError, "T3") as caught:
        load_people(write_meshes(tmp_path, last="T2"), None)
    assert caught.value.advice


def test_a_damaged_mesh_of_a_person_is_named(tmp_path: Path, mesh_folder: Path) -> None:
    write_person(tmp_path / "p" / "a", "C3", 1.1)
    (tmp_path / "p" / "a" / f"{vertebra('C2').name}.obj").write_text("v 0 0\n")
    with raises_code(AtlasError, "C2.obj"):
        load_people(mesh_folder, tmp_path / "p")


def test_a_folder_of_one_bone_is_no_person(tmp_path: Path, mesh_folder: Path) -> None:
    write_person(tmp_path / "p" / "a", "C1", 1.1)
    write_person(tmp_path / "p" / "b", "C2", 1.1)
    assert [p.name for p in load_people(mesh_folder, tmp_path / "p").others] == ["b"]
    assert ATLAS_PERSON not in {"a", "b"}
