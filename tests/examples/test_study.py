"""The complete study, as small as it gets: every command of examples/study/study.sh, from a cohort to the report.

The scans of the cohort are solids on wide voxels, there before the script begins, which keeps them: how a spine is
synthesised is tested beside its code.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cspine
from cspine.core.anatomy import CERVICAL_LEVELS
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.study.dry_run import synthetic_cohort
from cspine.study.synthesis.spine.case import SpineSettings
from tests.builders.public_sets import NECK, TRUNK, small_case
from tests.builders.warm_command import warm_command
from tests.builders.warm_python import WarmPython

_ROOT = Path(__file__).parents[2]
_PATIENTS = 14


def _solids(forms: object, seed: int, settings: SpineSettings) -> tuple[CtVolume, LabelVolume]:
    ct, labels = small_case(NECK if settings.view[0] == "C1" else TRUNK, spacing_xyz=settings.spacing_xyz)
    noise = np.random.default_rng(seed).normal(0, 30, ct.hu_zyx.shape)
    return CtVolume((ct.hu_zyx + noise).astype(np.int16), ct.affine_lps), labels


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, warm_study: WarmPython) -> Path:
    """Folder of a finished study: two folds, one epoch of two iterations."""
    out = tmp_path_factory.mktemp("study")
    socket = tmp_path_factory.mktemp("socket") / "s"
    with warm_command(warm_study, "cspine", socket) as command:
        _run_script(out, command)
    return out


def _run_script(out: Path, command: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic_cohort, "_forms", lambda *_: None)
        patch.setattr(synthetic_cohort, "synthesize_spine", _solids)
        assert cspine.study.synthesize_cohort(out / "cohort", _PATIENTS, jobs=1).made == _PATIENTS
    done = subprocess.run(
        ["bash", str(_ROOT / "examples" / "study" / "study.sh"), str(out), str(_PATIENTS)],
        capture_output=True, text=True, check=False, timeout=900,
        env=os.environ | {
            "CSPINE": command,
            "SPLIT_OPTIONS": "--folds 2",
            "TRAIN_OPTIONS": "--folds 0,1 --epochs 1 --iterations-per-epoch 2 --validation-iterations 1 --processes 1",
            "PYTHONPATH": str(_ROOT),
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        },
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert f"0 scans made, {_PATIENTS} kept" in done.stdout


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def test_the_case_with_wrong_labels_is_excluded_and_no_other(study: Path) -> None:
    rows = _rows(study / "raw" / "Dataset502_FullSpine" / "cases.csv")
    assert len(rows) >= 14
    assert [row["case"] for row in rows if "order" in row["excluded"]] == ["ctspine1k_volume-covid19-A-0001"]


def test_a_patient_is_in_the_same_part_and_fold_of_both_datasets(study: Path) -> None:
    tables = [_rows(study / "raw" / name / "cases.csv") for name in ("Dataset501_Cervical", "Dataset502_FullSpine")]
    where = [{r["case"]: (r["subset"], r["fold"]) for r in rows if not r["excluded"]} for rows in tables]
    common = where[0].keys() & where[1].keys()
    assert {subset for subset, _ in where[0].values()} >= {"training", "internal", "external"}
    assert all(where[0][case] == where[1][case] for case in common)


def test_both_models_are_compared_on_the_same_cases_of_every_subset(study: Path) -> None:
    scores = [_rows(study / "evaluation" / name / "scores.csv") for name in ("cervical", "full-spine")]
    cases = [{(row["case"], row["subset"]) for row in rows} for rows in scores]
    assert {subset for _, subset in cases[0]} == {"training", "internal", "external"}
    levels = {row["level"] for row in scores[0]}
    assert levels >= {level.name for level in CERVICAL_LEVELS}


def test_the_report_stands_on_its_own(study: Path) -> None:
    report = (study / "comparison" / "report.html").read_text(encoding="utf-8")
    for words in ("Cervical", "Full spine", "C1", "T1", "0.947"):  # the last: the paper's internal Dice of C1
        assert words in report
    assert "http://" not in report.replace("http://www.w3.org", "")
    assert 'src="http' not in report
