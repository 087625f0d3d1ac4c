"""What a training is said to need."""

from collections import namedtuple
from dataclasses import replace

import pytest

from cspine.study.training import needs as module
from cspine.study.training.cases import read_cases_of
from cspine.study.training.needs import needs, preprocessed_gb
from cspine.study.training.settings import PRESETS, PlanChanges, TrainingSettings
from tests.builders.tiny_dataset import tiny_dataset


@pytest.fixture
def cases(tmp_path):
    return read_cases_of(tiny_dataset(tmp_path / "Dataset501_Tiny").root, None)


def test_hours_are_in_proportion_to_folds_epochs_and_plans(cases, tmp_path):
    def hours(**settings):
        return next(line for line in needs(cases, TrainingSettings(**settings), tmp_path) if "This training" in line)

    assert "about 18 GPU hours and 8 GB" in hours()
    assert "about 9 GPU hours" in hours(epochs=500)
    assert "about 70 GPU hours and 23 GB" in hours(plans="resenc-l")
    assert "about 36 GPU hours" in hours(configuration="3d_cascade_fullres")
    some = replace(cases, folds=("1",))
    text = needs(some, TrainingSettings(configuration="3d_cascade_fullres"), tmp_path)
    assert text[0] == "4 training cases, 3 folds to train."  # both of the first stage


def test_the_papers_study_is_reported_as_a_yardstick(cases, tmp_path):
    assert any("about 90 GPU hours (estimate" in line for line in needs(cases, TrainingSettings(), tmp_path))


def test_no_hours_are_guessed_for_another_network(cases, tmp_path):
    for settings in PRESETS["smoke"].settings, TrainingSettings(changes=PlanChanges(gpu_memory_gb=16)):
        assert not any("This training" in line for line in needs(cases, settings, tmp_path))


def test_voxels_of_half_the_edge_need_eight_times_the_disk(cases):
    full, half = (TrainingSettings(changes=PlanChanges(spacing_mm=(step,) * 3)) for step in (3.0, 1.5))
    assert preprocessed_gb(cases, half) == pytest.approx(8 * preprocessed_gb(cases, full))
    assert preprocessed_gb(cases, full) == pytest.approx(preprocessed_gb(cases, TrainingSettings()))


def test_a_disk_that_is_too_small_is_reported_before(cases, tmp_path, monkeypatch):
    disk = namedtuple("disk", "free")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: disk(1e9))
    lines = needs(cases, TrainingSettings(), tmp_path / "not" / "yet")
    assert "1 GB free" in lines[-2] and lines[-1].startswith("warning: the disk may become full")
