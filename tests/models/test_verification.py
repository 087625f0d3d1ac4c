"""A package is verified completely: files first, then the weights of every fold."""

from __future__ import annotations

from pathlib import Path

import pytest

import cspine
from cspine.core.errors import ModelError
from cspine.models.verification import verify_package
from tests.builders.nnunet_results import TinyModel


def test_every_fold_of_a_sound_package_is_checked(tmp_path: Path) -> None:
    package = TinyModel(folds=("0", "all")).package(tmp_path / "tiny")
    checks = verify_package(package.folder)
    assert all(check.ok for check in checks) and len(checks) == 3
    assert [fold in check.sentence for fold, check in zip(("fold 0", "fold all"), checks, strict=False)] == [True, True]
    assert package.identity.checksum in checks[-1].sentence


def test_each_file_that_is_changed_or_missing_is_a_failed_check(tmp_path: Path) -> None:
    folder = TinyModel().package(tmp_path / "tiny").folder
    (folder / "fine" / "plans.json").write_text("{}")
    (folder / "fine" / "fold_0.safetensors").unlink()
    checks = verify_package(folder)
    assert not any(check.ok for check in checks)
    assert sorted(check.sentence.split()[0] for check in checks) == ["fine/fold_0.safetensors", "fine/plans.json"]


def test_a_folder_without_a_manifest_is_no_package(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        verify_package(tmp_path)


def test_a_model_is_verified_by_its_folder_and_by_its_name(tmp_path: Path) -> None:
    folder = TinyModel().package(tmp_path / "tiny").folder
    assert cspine.verify_model(folder) == cspine.verify_model("tiny", folder=tmp_path) == verify_package(folder)
    (folder / "README.md").write_text("changed")
    assert [check.ok for check in cspine.verify_model(folder)] == [False]
    with pytest.raises(ModelError):
        cspine.verify_model("absent", folder=tmp_path)
