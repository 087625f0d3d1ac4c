from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
SETTINGS = yaml.safe_load((ROOT / "app.yaml").read_text())


def environment(models: Path) -> dict[str, str]:
    return {
        "PATH": "/usr/bin",
        "HOLOSCAN_APPLICATION": "/opt/holoscan/app",
        "HOLOSCAN_WORKDIR": "/var/holoscan",
        "HOLOSCAN_INPUT_PATH": "/var/holoscan/input",
        "HOLOSCAN_OUTPUT_PATH": "/var/holoscan/output",
        "HOLOSCAN_MODEL_PATH": str(models),
    }


@pytest.fixture
def models(tmp_path: Path) -> Path:
    for name in ("neck", "spine"):
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "model.yaml").write_text("name: x\n")
    (tmp_path / "models" / "notes").mkdir()
    return tmp_path / "models"


def test_the_application_manifest_follows_app_yaml_and_the_environment(models: Path) -> None:
    from manifests import application_manifest

    app = application_manifest(SETTINGS, environment(models), "4.0.0")
    assert json.loads(app["command"]) == ["python3", "/opt/holoscan/app"]
    assert app["title"] == SETTINGS["application"]["title"]
    assert app["version"] == SETTINGS["application"]["version"]
    assert app["input"] == {"path": "input/", "formats": ["file"], "format": "file"}
    assert app["output"]["path"] == "output/"
    assert app["timeout"] == 3600
    assert app["workingDirectory"] == "/var/holoscan"
    assert app["sdkVersion"] == "4.0.0"
    assert set(app["environment"]) == set(environment(models)) - {"PATH"}


def test_the_package_manifest_lists_each_folder_with_a_model(models: Path) -> None:
    from manifests import package_manifest

    pkg = package_manifest(SETTINGS, environment(models), "cpu")
    assert pkg["models"] == [{"name": name, "path": name} for name in ("neck", "spine")]
    assert pkg["resources"] == SETTINGS["resources"]
    assert pkg["platformConfig"] == "cpu"
    assert package_manifest(SETTINGS, environment(models), "cuda")["platformConfig"] == "dgpu"


def test_the_script_writes_both_files_and_refuses_an_image_without_models(models: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "deploy/map/manifests.py"), "--app-yaml", str(ROOT / "app.yaml")]
    out = tmp_path / "etc"
    done = subprocess.run([*command, "--flavour", "cpu", "--out", str(out)], env=environment(models), check=False)
    assert done.returncode == 0
    assert json.loads((out / "app.json").read_text())["type"] == "application"
    assert json.loads((out / "pkg.json").read_text())["applicationRoot"] == "/opt/holoscan/app"

    empty = environment(tmp_path / "empty")
    refused = subprocess.run(
        [*command, "--flavour", "cpu", "--out", str(tmp_path / "none")], env=empty, check=False, capture_output=True
    )
    assert refused.returncode != 0
    assert not (tmp_path / "none").exists()
