"""The stock packager of holoscan-cli, driven by its own classes up to the build context; what that context starts."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("holoscan_cli.packager")
pytest.importorskip("setuptools")

ROOT = Path(__file__).resolve().parents[3]
APP_YAML = ROOT / "app.yaml"


@dataclass(frozen=True)
class Packaged:
    """What `make map-package` made, and the packager's build context of it."""

    package: Path
    context: Path
    manifests: dict[str, dict[str, Any]]

    def dockerfile(self) -> str:
        return (self.context / "Dockerfile").read_text()


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Packaged:
    from package import prepare
    from package_context import build_context

    folder = tmp_path_factory.mktemp("packager")
    prepare(folder / "package")
    return Packaged(
        folder / "package", folder / "context", build_context(folder / "package", APP_YAML, folder / "context")
    )


def test_the_context_has_application_requirements_wheel_and_model(packaged: Packaged) -> None:
    context = packaged.context
    assert {"__main__.py", "app.py", "requirements.txt"} <= {path.name for path in (context / "app").iterdir()}
    assert [path.name for path in (context / "models").iterdir()] == ["cervical-demo"]
    assert (context / "models" / "cervical-demo" / "model.yaml").is_file()
    pinned = (context / "pip" / "requirements.txt").read_text().splitlines()
    assert {line for line in (ROOT / "requirements.txt").read_text().splitlines() if "==" in line} <= set(pinned)
    (wheel,) = context.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
    assert {"cspine/operators/ct_reader.py", "cspine/app/app.py", "cspine/pipeline/steps/__init__.py"} <= names


def test_the_dockerfile_copies_and_installs_all_of_the_context(packaged: Packaged) -> None:
    text = packaged.dockerfile()
    copied = {line.split()[1] for line in text.splitlines() if line.startswith("COPY ")}
    (wheel,) = packaged.context.glob("*.whl")
    assert {
        "./app",
        "./models",
        "./pip/requirements.txt",
        f"./{wheel.name}",
        "./map/app.json",
        "./map/pkg.json",
    } <= copied
    assert all((packaged.context / name).exists() for name in copied)
    assert re.search(rf"pip install /tmp/{re.escape(wheel.name)}", text)


def test_the_manifests_have_what_app_yaml_says(packaged: Packaged) -> None:
    *_, settings = yaml.safe_load_all(APP_YAML.read_text())
    app, pkg = packaged.manifests["app.json"], packaged.manifests["pkg.json"]
    assert app["input"]["formats"] == settings["application"]["input-formats"] == ["file"]
    assert app["output"]["formats"] == settings["application"]["output-formats"] == ["file"]
    assert app["version"] == pkg["version"] == settings["application"]["version"]
    assert app["timeout"] == 3600 and json.loads(app["command"]) == ["python3", "/opt/holoscan/app"]
    assert pkg["models"] == {"cervical-demo": "/opt/holoscan/models/cervical-demo"}
    assert pkg["resources"] == settings["resources"]


def test_every_key_of_app_yaml_is_one_that_is_read() -> None:
    *_, settings = yaml.safe_load_all(APP_YAML.read_text())
    assert set(settings) == {"application", "resources"}
    assert set(settings["application"]) == {"title", "version", "input-formats", "output-formats"}


def test_the_documented_command_is_the_one_that_is_tested(packaged: Packaged) -> None:
    from package_context import command

    page = (ROOT / "docs" / "guide" / "monai-developers.md").read_text()
    documented = re.search(r"^monai-deploy (package .*?)\n```", page, re.DOTALL | re.MULTILINE)
    assert documented is not None
    folder = Path("build/map/package")
    tested = [word.replace(str(packaged.package), str(folder)) for word in command(packaged.package, Path("app.yaml"))]
    assert shlex.split(documented[1].replace("\\\n", " ")) == tested


def test_what_the_context_starts_runs(packaged: Packaged, tmp_path: Path) -> None:
    pytest.importorskip("holoscan.core")
    (wheel,) = packaged.context.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(tmp_path / "site")
    (tmp_path / "input").mkdir()
    done = subprocess.run(
        [sys.executable, str(packaged.context / "app")], cwd=tmp_path, check=False, capture_output=True, text=True,
        env=os.environ | {
            "PYTHONPATH": str(tmp_path / "site"), "HOLOSCAN_INPUT_PATH": str(tmp_path / "input"),
            "HOLOSCAN_OUTPUT_PATH": str(tmp_path / "output"), "HOLOSCAN_MODEL_PATH": str(packaged.context / "models"),
        },
    )  # fmt: skip
    # An empty study: the graph ran, from the wheel, and its first operator said so.
    assert done.returncode == 3 and "CS-IN-002" in done.stderr
    assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) == 2
