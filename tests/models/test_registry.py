from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import cspine
from cspine.core.errors import ModelError, ModelNotFoundError
from cspine.models import registry
from cspine.models.registry import find_model, list_models, search_path, shipped_folder, user_folder
from tests.builders.nnunet_results import TinyModel
from tests.builders.raises import raises_code

ROOT = Path(cspine.__file__).resolve().parent.parent


def test_the_users_folder_follows_xdg():
    home = Path("/home/user")
    assert user_folder({}, home) == home / ".local/share/cspine/models"
    assert user_folder({"XDG_DATA_HOME": "/data"}, home) == Path("/data/cspine/models")
    assert user_folder({"XDG_DATA_HOME": "relative"}, home) == home / ".local/share/cspine/models"


def test_a_model_is_found_by_name_and_the_first_folder_wins(tmp_path):
    for folder, version in (("a", "1"), ("b", "2")):
        TinyModel().package(tmp_path / folder / "tiny", version=version)
    folders = [tmp_path / "absent", tmp_path / "b", tmp_path / "a"]
    assert find_model("tiny", folders) == tmp_path / "b" / "tiny"
    assert [model.manifest.version for model in list_models(folders)] == ["2"]


def test_a_folder_is_a_model_as_well(tmp_path):
    folder = TinyModel().package(tmp_path / "tiny").folder
    assert find_model(folder, []) == folder
    assert find_model(str(folder), []) == folder
    with raises_code(ModelNotFoundError, "model.yaml"):
        find_model(tmp_path, [])
    assert find_model("tiny", [folder]) == folder


def test_the_default_is_the_demonstration_model_or_the_only_one_of_the_folder_pointed_to(tmp_path):
    demo = TinyModel().package(tmp_path / "user" / registry.DEFAULT_MODEL).folder
    only = TinyModel().package(tmp_path / "pointed" / "real").folder
    folders = [tmp_path / "pointed", tmp_path / "user"]
    assert find_model(None, folders) == demo
    assert find_model(None, folders, pointed_to=tmp_path / "pointed") == only
    TinyModel().package(tmp_path / "pointed" / "second")
    with raises_code(ModelNotFoundError, "real, second"):
        find_model(None, folders, pointed_to=tmp_path / "pointed")
    with raises_code(ModelNotFoundError, "none"):
        find_model(None, folders, pointed_to=tmp_path / "nowhere")


def test_a_name_that_nothing_has_lists_those_that_are_there(tmp_path):
    TinyModel().package(tmp_path / "tiny")
    with raises_code(ModelNotFoundError, "'neck'", "tiny"):
        find_model("neck", [tmp_path])
    with raises_code(ModelNotFoundError, "'cervical-demo'", "none"):
        find_model(None, [])


def test_an_invalid_manifest_is_listed_with_its_fault(tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "model.yaml").write_text("name: 1")
    (model,) = list_models([tmp_path])
    assert model.manifest is None
    assert "title" in model.fault
    with raises_code(ModelError, "broken"):
        find_model("broken", [tmp_path])


def test_a_half_written_package_is_not_seen(tmp_path):
    package = TinyModel().package(tmp_path / "tiny")
    package.folder.rename(tmp_path / ".tiny-x")
    assert list_models([tmp_path]) == []


def test_the_search_path_ends_with_what_was_shipped(tmp_path, monkeypatch):
    (tmp_path / "cspine").mkdir()
    (tmp_path / "models").mkdir()
    monkeypatch.setattr(registry.cspine, "__file__", str(tmp_path / "cspine" / "__init__.py"))
    assert shipped_folder() is None
    (tmp_path / "pyproject.toml").touch()
    assert shipped_folder() == tmp_path / "models"
    (tmp_path / "cspine" / "models" / "shipped").mkdir(parents=True)
    assert shipped_folder() == tmp_path / "cspine" / "models" / "shipped"
    home, first = tmp_path / "home", tmp_path / "first"
    assert search_path({}, home, first) == (first, user_folder({}, home), shipped_folder())


@pytest.mark.slow
def test_the_demonstration_model_is_found_in_an_installed_wheel(tmp_path):
    source = tmp_path / "source"
    shutil.copytree(ROOT / "cspine", source / "cspine", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in"):
        shutil.copyfile(ROOT / name, source / name)
    for name in ("README.md", "LICENSE"):
        (source / name).write_text("text")
    TinyModel().package(source / "models" / "cervical-demo")
    TinyModel().package(source / "models" / "of-somebody")
    build = "import setuptools.build_meta as b, sys; b.build_wheel(sys.argv[1]); b.build_sdist(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(tmp_path / "dist")], cwd=source, check=True, capture_output=True)

    (wheel,) = (tmp_path / "dist").glob("*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        assert not [name for name in archive.namelist() if "of-somebody" in name or name.startswith("models/")]
        archive.extractall(site)
    look = (
        "from cspine.models.registry import *; from pathlib import Path\n"
        "from cspine.models.package import load_package\n"
        "print(load_package(find_model(None, search_path({}, Path('/nowhere')))).folder)"
    )
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-c", look], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    )
    assert Path(done.stdout.strip()) == site / "cspine" / "models" / "shipped" / "cervical-demo"
