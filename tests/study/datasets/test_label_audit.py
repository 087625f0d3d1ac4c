"""Each kind of fault in reference labels is found and named, and sound labels give no doubt."""

import json
from dataclasses import replace

import numpy as np
import pytest

from cspine.core.errors import InputError
from cspine.core.geometry import reorientation
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.study.datasets.label_audit import DOUBTS, audit_labels, read_centroids
from cspine.study.dry_run.layouts import centroids_of
from cspine.study.synthesis.known_spine import known_spine
from tests.builders.public_sets import small_case, without
from tests.builders.raises import raises_code
from tests.builders.spine_phantom import Phantom, draw, volumes


def changed(change):
    ct, labels = small_case()
    array = labels.labels_zyx.copy()
    change(array)
    return ct, LabelVolume(array, labels.affine_lps)


def swap(array):
    c5, c6 = array == 5, array == 6
    array[c5], array[c6] = 6, 5


def scatter(array):
    array[1:5, 2:6, 2:6] = 3


def thin(array):
    body = np.argwhere(array == 4)
    array[tuple(body[len(body) // 4 :].T)] = 0


def crumble(array):
    array[array == 4] = 0
    array[30, 12, 12] = 4


def doubts_of(ct, labels, **more):
    return {str(doubt) for doubt in audit_labels(labels, ct=ct, **more)}


def test_sound_labels_give_no_doubt():
    assert not doubts_of(*small_case())


@pytest.mark.parametrize(
    ("change", "doubt"),
    [(swap, "order: C6"), (scatter, "fragments: C3"), (thin, "volume: C4"), (crumble, "speck: C4")],
)
def test_a_fault_is_named_with_its_level(change, doubt):
    assert doubt in doubts_of(*changed(change))


def test_image_and_labels_that_are_both_back_to_front_are_doubted():
    labels = volumes()[0]
    turned = LabelVolume(labels.labels_zyx[:, ::-1, ::-1].copy(), labels.affine_lps)
    assert "orientation" in {doubt.kind for doubt in audit_labels(turned)}
    assert "orientation" not in {doubt.kind for doubt in audit_labels(labels)}


def test_levels_one_too_high_have_the_shape_of_others():
    spine = known_spine((0.0, 0.0, 2.0, 4.0, 6.0, 9.0, 13.0, 16.0))
    labels = spine.draw(spine.grid((1.0, 1.0, 1.5)))
    array = np.where(labels.labels_zyx > 1, labels.labels_zyx - 1, 0).astype(np.uint8)
    assert "shape of another level: C1" in {str(doubt) for doubt in audit_labels(replace(labels, labels_zyx=array))}
    assert not [doubt for doubt in audit_labels(labels) if doubt.kind == "shape of another level"]


def test_a_level_without_a_label_between_two_is_missed():
    ct, labels = small_case()
    assert doubts_of(ct, without(labels, 4)) == {"missing level: C4"}


def test_labels_that_skip_a_vertebra_leave_a_gap():
    phantom = Phantom(labels=(1, 2, 3, 4), shape_zyx=(60, 30, 25), spacing_xyz=(3.0, 3.0, 3.0), step_mm=40.0)
    labels = LabelVolume(draw(phantom), phantom.grid().affine_lps)
    assert {str(doubt) for doubt in audit_labels(labels)} == {"gap: C2", "gap: C3", "gap: C4"}


def test_two_labels_on_one_vertebra():
    ct, labels = small_case()
    array = np.where(labels.labels_zyx == 5, 0, labels.labels_zyx)
    index = np.argwhere(array == 4)
    array[tuple(index[(index.sum(axis=1) % 2) == 0].T)] = 5
    assert "two labels on one vertebra: C5" in doubts_of(ct, LabelVolume(array, labels.affine_lps))


def test_a_vertebra_that_the_edge_cuts_may_be_small_and_in_pieces():
    _, labels = small_case()
    cut = LabelVolume(labels.labels_zyx[:, :24].copy(), labels.affine_lps)
    cut.labels_zyx[:, 20:22] = 0  # spinous processes that only the missing part joins to their vertebra
    assert not any(doubt.kind == "fragments" for doubt in audit_labels(cut))


def test_labels_beside_the_bone_have_too_little_density():
    ct, labels = small_case()
    shifted = LabelVolume(np.roll(labels.labels_zyx, 3, axis=0), labels.affine_lps)
    assert any(doubt.startswith("density") for doubt in doubts_of(CtVolume(ct.hu_zyx - 150, ct.affine_lps), shifted))


@pytest.mark.parametrize("orientation", ["LPS", "PIR", "RAS"])
def test_published_centroids_are_compared_in_their_own_orientation(tmp_path, orientation):
    ct, labels = small_case()
    change = reorientation(labels.affine_lps, orientation)
    reoriented = LabelVolume(np.ascontiguousarray(change.apply(labels.labels_zyx)), change.grid(labels.grid).affine_lps)
    listed = [*centroids_of(reoriented), {"label": 12, "X": float("nan"), "Y": 1.0, "Z": 1.0}, {"label": 44, "X": 1}]
    listed[-1] |= {"Y": 1, "Z": 1}
    path = tmp_path / "sub-verse004_seg-subreg_ctd.json"
    path.write_text(json.dumps(listed))
    assert not doubts_of(ct, labels, centroids=read_centroids(path))
    for row in listed:
        if row.get("label") == 3:
            row["X"] = row["X"] + 15
    path.write_text(json.dumps([*listed, {"label": 20, "X": 1.0, "Y": 1.0, "Z": 1.0}]))
    assert doubts_of(ct, labels, centroids=read_centroids(path)) == {"centroid: C3", "centroid: L1"}


def test_centroids_in_millimetres_are_ignored_and_damaged_ones_refused(tmp_path):
    path = tmp_path / "verse500_CT-ax_iso-ctd.json"
    path.write_text(json.dumps([{"label": 3, "X": 1.0, "Y": 2.0, "Z": 3.0}]))
    assert read_centroids(path) is None
    for text in ("{", '[{"direction": ["P", "I", "R"]}, {"label": 3}]', '[{"direction": ["P", "P", "R"]}]'):
        path = tmp_path / "x_ctd.json"
        path.write_text(text)
        with raises_code(InputError, "x_ctd"):
            read_centroids(path)


def test_every_kind_of_doubt_is_explained():
    found = [doubts_of(*changed(change)) for change in (swap, scatter, thin, crumble)]
    kinds = {doubt.partition(":")[0] for doubts in found for doubt in doubts}
    assert {"order", "fragments", "volume", "speck"} <= kinds <= set(DOUBTS)
