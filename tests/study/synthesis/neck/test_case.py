"""Complete cases: the same from the same seed, labels that follow from the surfaces, images that end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cspine.study.synthesis import atlas as tissues
from cspine.study.synthesis.atlas import Atlas
from cspine.study.synthesis.neck import case as module
from cspine.study.synthesis.neck.case import NeckSettings, random_patient, synthesize_neck
from cspine.study.synthesis.neck.people import EVALUATION_PEOPLE, People
from cspine.study.synthesis.neck.tubes import Contrast
from cspine.study.synthesis.tissue import Anatomy
from tests.builders.tiny_atlas import PERFECT

#: The complete column of the tiny atlas, on a grid that needs a second.
SMALL = NeckSettings((2.0, 2.0, 2.0), 1.0, "neck", extent_xyz_mm=(60.0, 70.0, 96.0), scan=PERFECT)
_PLAIN = Contrast(filled=0.0, calcified=0.0, ossified=0.0)


def test_the_same_seed_gives_the_same_case_and_another_one_another(atlas: Atlas, solid_people: People) -> None:
    settings = replace(SMALL, scan=None, worn=0.8)
    (ct, labels), (same_ct, same_labels), (other, _) = (
        synthesize_neck(atlas, solid_people, seed, settings) for seed in (11, 11, 12)
    )
    assert np.array_equal(ct.hu_zyx, same_ct.hu_zyx)
    assert np.array_equal(labels.labels_zyx, same_labels.labels_zyx)
    assert not np.array_equal(ct.hu_zyx, other.hu_zyx)
    assert ct.hu_zyx.dtype == np.int16 and labels.labels_zyx.dtype == np.uint8
    assert labels.grid.is_close(ct.grid)
    assert ct.grid.shape_zyx == (48, 35, 30)


def test_a_neck_shows_c1_to_t1_head_to_foot(atlas: Atlas, solid_people: People) -> None:
    _, labels = synthesize_neck(atlas, solid_people, 3, SMALL)
    heights = [np.argwhere(labels.labels_zyx == label)[:, 0].mean() for label in range(1, 9)]
    assert heights == sorted(heights, reverse=True)


def test_labels_are_bone_and_tissue_is_not(atlas: Atlas, solid_people: People) -> None:
    ct, labels = synthesize_neck(atlas, solid_people, 3, replace(SMALL, worn=0.0, contrast=_PLAIN))
    bone = labels.labels_zyx > 0
    assert np.median(ct.hu_zyx[bone]) > 180
    assert np.median(ct.hu_zyx[~bone]) < 120


def test_a_label_contains_the_voxels_within_its_surface(
    atlas: Atlas, solid_people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = []
    fields_of = module.bone_fields
    monkeypatch.setattr(module, "bone_fields", lambda *given: kept.append(fields_of(*given)) or kept[-1])
    settings = replace(SMALL, spacing_xyz=(1.0, 1.0, 1.0))
    _, labels = synthesize_neck(atlas, solid_people, 4, settings)
    (fields,) = kept
    expected = torch.where(fields.surface_mm > 0, fields.level, torch.zeros_like(fields.level))
    assert (expected.numpy() != labels.labels_zyx).mean() < 1e-4


@pytest.mark.parametrize("seed", range(3))
def test_blank_parts_of_an_image_have_no_labels(atlas: Atlas, solid_people: People, seed: int) -> None:
    complete, truth = synthesize_neck(atlas, solid_people, seed, SMALL)
    ct, labels = synthesize_neck(atlas, solid_people, seed, replace(SMALL, blank=1.0))
    blank = np.array([len(np.unique(rows)) == 1 for rows in ct.hu_zyx])
    assert 0 < blank.sum() < len(blank)
    assert np.abs(np.diff(blank.astype(int))).sum() == 1  # one end, not a hole
    assert set(np.unique(ct.hu_zyx[blank])) <= {-1024, -1000, 0}
    assert not labels.labels_zyx[blank].any()
    assert np.array_equal(ct.hu_zyx[~blank], complete.hu_zyx[~blank])
    assert np.array_equal(labels.labels_zyx[~blank], truth.labels_zyx[~blank])


def test_a_slim_nape_has_air_behind_it_skin_on_it_and_bone_never_bare() -> None:
    shape, step = (4, 40, 4), 1.0
    y = torch.arange(40.0)[None, :, None].expand(shape)
    depth, behind, vertebra_mm = 39.0 - y, y - 10.0, 12.0 - y
    slimmed = 0
    for seed in range(12):
        tissue = torch.full(shape, tissues.FAT, dtype=torch.uint8)
        anatomy = Anatomy(tissue, torch.zeros_like(tissue), vertebra_mm, torch.full(shape, -9.0), step)
        module._slim_nape(anatomy, depth, behind, np.random.default_rng(seed))
        air = tissue == 0
        slimmed += bool(air.any())
        assert not air[vertebra_mm > -4].any()
        assert (tissue == tissues.MUSCLE).any()
        for column in tissue[0].T:
            assert torch.equal(column == 0, torch.sort((column == 0).int()).values.bool())  # nothing behind the air
    assert 3 <= slimmed < 12


def test_vessels_may_fill_neither_bone_nor_air() -> None:
    vertebra_mm, other_mm = torch.full((2, 3, 4), -5.0), torch.full((2, 3, 4), -5.0)
    vertebra_mm[0, 0], other_mm[0, 1] = 2.0, 2.0
    vertebra_mm[1, 2] = 0.0
    hu = torch.full((2, 3, 4), 50.0)
    hu[1, 0] = -900.0
    nothing = torch.zeros((2, 3, 4), dtype=torch.uint8)
    free = module._free(hu, Anatomy(nothing, nothing, vertebra_mm, other_mm, 0.5))
    assert free[:, :, 0].tolist() == [[0, 0, 1], [0, 1, 0.5]]


def test_worn_joints_are_dense_and_narrow(atlas: Atlas, solid_people: People) -> None:
    dense = []
    for worn in (0.0, 1.0):
        hu = []
        for seed in (5, 6):
            ct, labels = synthesize_neck(atlas, solid_people, seed, replace(SMALL, worn=worn, contrast=_PLAIN))
            hu.append(ct.hu_zyx[labels.labels_zyx > 0])
        dense.append((np.concatenate(hu) > 600).mean())
    assert dense[1] > dense[0] + 0.02


@pytest.mark.parametrize(("view", "most"), [("close_up", 105.0), ("anywhere", 380.0), ("neck", 255.0)])
def test_views_have_their_sizes(solid_people: People, view: str, most: float) -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        column = random_patient(solid_people, rng, NeckSettings()).column
        _, extent = module._field_of_view(column, rng, NeckSettings(view=view))
        assert extent.min() >= 60 and extent.max() <= most


def test_a_patient_of_one_person_has_that_persons_bones(solid_people: People) -> None:
    settings = NeckSettings(person=EVALUATION_PEOPLE[0])
    patient = random_patient(solid_people.chosen(evaluation=True), np.random.default_rng(0), settings)
    assert [bone.person for bone in patient.column[:5]] == [EVALUATION_PEOPLE[0]] * 5
    assert len(patient.bones) == len(patient.column) == 11


def test_the_atlas_osteopenic_bones_are_thickened(solid_people: People) -> None:
    settings = NeckSettings(person="atlas")
    offsets = []
    for seed in range(30):
        patient = random_patient(solid_people, np.random.default_rng(seed), settings)
        offsets.append(np.mean([change.offset_mm for posed, change in patient.bones if posed.label <= 8]))
    assert 0.3 < np.mean(offsets) < 0.65
