"""The atlas as fields: where they lie, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from cspine.core.errors import AtlasError
from cspine.core.geometry import orientation_of
from cspine.study.synthesis import atlas as tissues
from cspine.study.synthesis.atlas import Atlas, load_atlas, signed_distance
from tests.builders import tiny_atlas
from tests.builders.raises import raises_code


def test_the_fields_lie_in_lps_whatever_order_the_file_stores(atlas: Atlas) -> None:
    assert orientation_of(atlas.affine_lps) == "LPS"
    assert np.allclose(atlas.affine_lps, tiny_atlas.affine_lps())
    labels = tiny_atlas.draw()
    kept = np.isin(labels, (tissues.LUNG, tissues.TEETH, tissues.AIRWAY, tissues.DISC, 0))
    assert np.array_equal(atlas.tissue_zyx[kept], labels[kept])


def test_each_vertebra_is_positive_in_its_level_and_its_centre_is_known(atlas: Atlas) -> None:
    labels = tiny_atlas.draw()
    assert sorted(atlas.centroids_lps) == list(range(1, 14))
    for label, centre in atlas.centroids_lps.items():
        found = np.argwhere(labels == label)
        assert centre == pytest.approx(found.mean(axis=0)[::-1] + tiny_atlas.affine_lps()[:3, 3])
        inside = (atlas.vertebra_mm > 0.5) & (atlas.level_zyx == label)
        assert inside.any()
        assert (labels[inside] == label).all()
    assert (atlas.vertebra_mm[(labels == 0) | (labels > 13)] <= 0.5).all()
    assert (atlas.vertebra_mm[(labels > 0) & (labels <= 13)] > -0.5).all()


def test_between_two_vertebrae_the_nearer_one_is_the_level(atlas: Atlas) -> None:
    x, y = 23, 18
    assert atlas.level_zyx[tiny_atlas.bottom_of(4) + 6, y, x] == 4
    assert atlas.level_zyx[tiny_atlas.bottom_of(3) - 1, y, x] == 3


def test_teeth_and_other_bone_share_one_field(atlas: Atlas) -> None:
    labels = tiny_atlas.draw()
    bone = (labels == tissues.TEETH) | (labels == tissues.OTHER_BONE)
    assert (atlas.other_bone_mm[bone] > -0.5).all()
    assert (atlas.other_bone_mm[~bone] < 0.5).all()


def test_bones_are_filled_like_muscle_and_the_canal_contains_a_cord(atlas: Atlas) -> None:
    labels = tiny_atlas.draw()
    assert (atlas.tissue_zyx[(labels > 0) & (labels <= 13)] == tissues.MUSCLE).all()
    assert not np.isin(atlas.tissue_zyx, tissues.OTHER_BONE).any()
    z = tiny_atlas.bottom_of(6) + 2
    assert atlas.tissue_zyx[z, 30, 23] == tissues.CORD
    assert atlas.tissue_zyx[z, 35, 23] == tissues.CANAL_CONTENT
    canal = np.isin(atlas.tissue_zyx, (tissues.CORD, tissues.CANAL_CONTENT))
    assert (labels[canal] == tissues.CANAL).mean() > 0.9


def test_depth_below_the_skin_is_0_in_air_and_grows_inwards(atlas: Atlas) -> None:
    body = atlas.tissue_zyx > 0
    assert (atlas.depth_mm >= 0).all()
    assert atlas.depth_mm[body].min() >= 1.0
    z, y, x = (n // 2 for n in body.shape)
    line = atlas.depth_mm[z, y, : x + 1]
    first = int(np.argmax(line > 0))
    assert np.all(np.diff(line[first : first + 4]) >= 0)


def test_signed_distance_is_that_to_a_plane() -> None:
    mask = np.zeros((24, 12, 12), dtype=bool)
    mask[:12] = True
    distance = signed_distance(mask)
    expected = 11.5 - np.arange(24)
    assert np.abs(distance[:, 6, 6] - expected)[4:20].max() <= 0.5
    assert np.abs(np.diff(distance[4:20, 6, 6]) + 1).max() < 1e-5


def test_the_fields_of_the_cache_are_those_that_were_computed(atlas_folder: Path, tmp_path: Path, atlas: Atlas) -> None:
    computed = load_atlas(atlas_folder, cache=tmp_path / "deep" / "cache")
    (kept,) = (tmp_path / "deep" / "cache").iterdir()
    written = kept.stat().st_mtime_ns
    again = load_atlas(atlas_folder, cache=tmp_path / "deep" / "cache")
    assert kept.stat().st_mtime_ns == written
    for one in (again, atlas):
        for name in ("tissue_zyx", "level_zyx", "vertebra_mm", "other_bone_mm", "affine_lps"):
            assert np.array_equal(getattr(computed, name), getattr(one, name))


def test_an_absent_atlas_is_refused(tmp_path: Path, atlas_folder: Path) -> None:
    with raises_code(AtlasError, "labels.csv"):
        load_atlas(tmp_path)
    shutil.copy(atlas_folder / "labels.csv", tmp_path)
    with pytest.raises(AtlasError):
        load_atlas(tmp_path)


@pytest.mark.parametrize("change", [("42,", "43,"), ("label,", "number,"), ("42,", "x,")])
def test_a_table_of_other_labels_is_refused(tmp_path: Path, atlas_folder: Path, change: tuple[str, str]) -> None:
    shutil.copytree(atlas_folder, tmp_path / "a")
    table = tmp_path / "a" / "labels.csv"
    table.write_text(table.read_text().replace(*change))
    with raises_code(AtlasError, "labels.csv"):
        load_atlas(tmp_path / "a")


def test_an_atlas_without_a_cervical_vertebra_is_refused(tmp_path: Path) -> None:
    labels = tiny_atlas.draw()
    labels[labels == 5] = tissues.MUSCLE
    with raises_code(AtlasError, "C5"):
        load_atlas(tiny_atlas.write_atlas(tmp_path, labels))


def test_an_atlas_without_foramina_is_refused(tmp_path: Path) -> None:
    labels = tiny_atlas.draw()
    labels[:, 30:] = np.where(labels[:, 30:] <= 13, 0, labels[:, 30:])
    with raises_code(AtlasError):
        load_atlas(tiny_atlas.write_atlas(tmp_path, labels))


def test_an_atlas_of_another_voxel_size_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    coarse = tiny_atlas.affine_lps() @ np.diag([1.0, 1.0, 2.0, 1.0])
    monkeypatch.setattr(tiny_atlas, "affine_lps", lambda: coarse)
    with raises_code(AtlasError, "1 mm"):
        load_atlas(tiny_atlas.write_atlas(tmp_path))
