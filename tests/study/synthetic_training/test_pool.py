"""The pool: cases of known seeds, made by a process of its own, renewed one by one."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cspine.core.errors import TrainingError
from cspine.core.geometry import Grid
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.study.synthesis.atlas import Atlas
from cspine.study.synthesis.case import CaseSettings, synthesize_case
from cspine.study.synthesis.neck.case import NeckSettings
from cspine.study.synthesis.neck.people import EVALUATION_PEOPLE, People
from cspine.study.synthetic_training import pool as module
from cspine.study.synthetic_training.pool import Pool, PoolSettings, read_case
from tests.builders.raises import raises_code
from tests.builders.tiny_training import FIRST_SEED


@pytest.fixture
def settings(tmp_path: Path, atlas_folder: Path, atlas_cache: Path, atlas: Atlas) -> PoolSettings:
    """An empty pool beside the fields of the atlas."""
    shutil.copytree(atlas_cache, tmp_path / "run")
    return PoolSettings(atlas_folder, tmp_path / "run" / "pool", 2, FIRST_SEED, (3.0, 3.0, 3.0))


def test_a_process_fills_the_pool_with_the_cases_of_its_seeds(settings: PoolSettings, atlas: Atlas) -> None:
    with Pool(replace(settings, close_up=True, size=24)) as pool:  # large enough that no case is replaced meanwhile
        pool.wait_for(2)
        process = pool._process
        assert process is not None
        paths = pool.paths()[:2]
    assert not process.is_alive()
    Pool(settings).wait_for(24)  # no more than the pool holds
    assert [p.name for p in paths] == ["case-00000.npy", "case-00001.npy"]
    for number, path in enumerate(paths):
        ct, labels = synthesize_case(atlas, FIRST_SEED + number, CaseSettings((3.0, 3.0, 3.0), close_up=True))
        found_hu, found_labels = read_case(path)
        assert found_hu.dtype == np.int16
        assert found_labels.dtype == np.uint8
        assert found_hu.shape == ct.hu_zyx.shape
        assert (np.abs(found_hu - ct.hu_zyx) > 1).mean() < 1e-4
        assert (found_labels != labels.labels_zyx).mean() < 1e-4


def test_a_generator_that_fails_is_an_error_and_not_an_endless_wait(settings: PoolSettings, tmp_path: Path) -> None:
    damaged = shutil.copytree(settings.atlas, tmp_path / "damaged")
    (damaged / "neck_atlas_1mm.nii.gz").write_bytes(b"no image")
    with Pool(replace(settings, atlas=damaged)) as pool, raises_code(TrainingError, 1):
        pool.wait_for(1)


@pytest.mark.parametrize("change", [{"first_seed": 7}, {"spacing_xyz": (2.0, 2.0, 2.0)}])
def test_a_pool_of_other_cases_is_refused(
    settings: PoolSettings, monkeypatch: pytest.MonkeyPatch, change: dict[str, object]
) -> None:
    monkeypatch.setattr(Pool, "keep_alive", lambda _: None)
    with Pool(settings), Pool(settings):
        pass
    with raises_code(TrainingError, settings.folder), Pool(replace(settings, **change)):
        pass


def test_a_pool_of_an_older_generator_goes_on_and_one_of_a_newer_generator_is_refused(
    settings: PoolSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pool, "keep_alive", lambda _: None)
    origin = settings.folder / "origin.json"
    with Pool(settings):
        first = json.loads(origin.read_text("utf-8"))
    monkeypatch.setitem(module._EDITIONS, "neck", first["edition"] + 1)
    with Pool(settings):
        assert json.loads(origin.read_text("utf-8")) == first | {"edition": first["edition"] + 1}
    monkeypatch.setitem(module._EDITIONS, "neck", first["edition"])
    with raises_code(TrainingError, settings.folder), Pool(settings):
        pass
    assert json.loads(origin.read_text("utf-8"))["edition"] == first["edition"] + 1


def test_articulated_necks_never_show_people_who_are_held_back(
    settings: PoolSettings, atlas: Atlas, solid_people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[tuple[set[str], NeckSettings]] = []

    def case(atlas: Atlas, people: People, seed: int, requested: NeckSettings) -> tuple[CtVolume, LabelVolume]:
        shown.append(({person.name for person in people.others}, requested))
        return CtVolume(np.zeros((2, 2, 2), np.int16), np.eye(4)), LabelVolume(np.zeros((2, 2, 2), np.uint8), np.eye(4))

    monkeypatch.setattr(module, "load_people", lambda *_: solid_people)
    monkeypatch.setattr(module, "synthesize_neck", case)
    assert EVALUATION_PEOPLE[0] in {person.name for person in solid_people.others}
    close = replace(settings, anatomy="articulated", close_up=True)
    for seed, pool in ((3, replace(close, close_up=False, blank_share=0.2)), (4, close)):
        module._drawer(pool)(seed)
    assert [names for names, _ in shown] == [{"other"}, {"other"}]
    assert [requested.view for _, requested in shown] == ["neck", "close_up"]
    assert [requested.blank for _, requested in shown] == [0.2, 0.0]
    assert {requested.internal_mm for _, requested in shown} == {1.5}


def _generate_here(settings: PoolSettings, cases: int, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bool]]:
    """Run the generator in this process on cases that show their seed; return the seeds and which show whole necks."""
    made: list[tuple[int, bool]] = []

    def case(atlas: Atlas, seed: int, requested: CaseSettings) -> tuple[CtVolume, LabelVolume]:
        made.append((seed, requested.complete_neck))
        affine = Grid((2, 2, 2), np.eye(4)).affine_lps
        return CtVolume(np.full((2, 2, 2), seed, np.int16), affine), LabelVolume(np.ones((2, 2, 2), np.uint8), affine)

    monkeypatch.setattr(module, "synthesize_case", case)
    monkeypatch.setattr(module, "_CASES_A_PROCESS", cases)
    monkeypatch.setattr(os, "nice", lambda by: by)
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    settings.folder.mkdir(parents=True, exist_ok=True)
    module._generate(settings)
    return made


def test_the_oldest_case_is_replaced_and_a_new_process_goes_on_with_the_next_seed(
    settings: PoolSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = replace(settings, size=3, first_seed=30)
    made = _generate_here(small, 4, monkeypatch) + _generate_here(small, 1, monkeypatch)
    assert made == [(30, True), (31, False), (32, False), (33, True), (34, False)]
    seeds = [int(read_case(path)[0][0, 0, 0]) for path in Pool(small).paths()]
    assert seeds == [33, 34, 32]
    assert sorted(p.name for p in small.folder.iterdir() if not p.name.startswith("case-")) == ["next-seed.txt"]


def test_half_written_cases_are_not_handed_out(settings: PoolSettings) -> None:
    settings.folder.mkdir(parents=True)
    (settings.folder / ".case-00000.npy.partial.npy").write_bytes(b"half")
    assert Pool(settings).paths() == []
