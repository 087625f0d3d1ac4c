"""A package is verified completely: files first, then the weights of every fold."""

from __future__ import annotations

from pathlib import Path

import pytest

from cspine.core.errors import ModelChecksumError, ModelError
from cspine.models.verification import verify_package
from tests.builders.nnunet_results import TinyModel
from tests.builders.raises import raises_code


def test_every_fold_of_a_sound_package_is_checked(tmp_path: Path) -> None:
    package = TinyModel(folds=("0", "all")).package(tmp_path / "tiny")
    checks = list(verify_package(package.folder))
    assert all(check.ok for check in checks) and len(checks) == 3
    assert [fold in check.sentence for fold, check in zip(("fold 0", "fold all"), checks, strict=False)] == [True, True]
    assert package.identity.checksum in checks[-1].sentence


def test_each_file_that_is_changed_or_missing_is_named_before_the_error(tmp_path: Path) -> None:
    folder = TinyModel().package(tmp_path / "tiny").folder
    (folder / "fine" / "plans.json").write_text("{}")
    (folder / "fine" / "fold_0.safetensors").unlink()
    with raises_code(ModelChecksumError, "tiny", 2):
        list(verify_package(folder))
    checks = verify_package(folder)
    sentences = [next(checks), next(checks)]
    assert not any(check.ok for check in sentences)
    assert sorted(check.sentence.split()[0] for check in sentences) == ["fine/fold_0.safetensors", "fine/plans.json"]


def test_a_folder_without_a_manifest_is_no_package(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        list(verify_package(tmp_path))
