"""Each item of the guidelines passes for a valid image and fails for an image with the corresponding fault."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from guidelines import ITEMS
from image import CheckError, Entry, Image
from manifests import application_manifest, package_manifest

from tests.deploy.map.test_manifests import SETTINGS

_EPOCH = "1700000000"
_VARIABLES = {
    "HOLOSCAN_APPLICATION": "/opt/holoscan/app",
    "HOLOSCAN_WORKDIR": "/var/holoscan",
    "HOLOSCAN_INPUT_PATH": "/var/holoscan/input",
    "HOLOSCAN_OUTPUT_PATH": "/var/holoscan/output",
    "HOLOSCAN_MODEL_PATH": "/opt/holoscan/models",
    "HOLOSCAN_CONFIG_PATH": "/var/holoscan/app.yaml",
    "HOLOSCAN_APP_MANIFEST_PATH": "/etc/holoscan/app.json",
    "HOLOSCAN_PKG_MANIFEST_PATH": "/etc/holoscan/pkg.json",
    "HOLOSCAN_DOCS_PATH": "/opt/holoscan/docs",
    "HOLOSCAN_LOGS_PATH": "/var/holoscan/logs",
}
_FILE = Entry(0o644, 0, "file", "", b"")
_MODEL = {"name": "neck", "type": "machine-learning-model", "licenses": [{}], "hashes": [{}]}
_FOLDER = Entry(0o755, 0, "folder", "", b"")


@pytest.fixture
def image(monkeypatch: pytest.MonkeyPatch) -> Image:
    """An image as the Containerfile makes it, in so far as the items look."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", _EPOCH)
    app = application_manifest(SETTINGS, _VARIABLES, "4.0.0")
    pkg = package_manifest(SETTINGS, _VARIABLES, "cpu") | {"models": [{"name": "neck", "path": "neck"}]}
    content = {
        "etc/passwd": b"root:x:0:0::/root:/bin/sh\nholoscan:x:1000:1000::/tmp:/bin/false\n",
        "etc/holoscan/app.json": json.dumps(app).encode(),
        "etc/holoscan/pkg.json": json.dumps(pkg).encode(),
        "opt/holoscan/docs/sbom-python.cdx.json": _parts("torch", _MODEL),
        "opt/holoscan/docs/sbom-debian.cdx.json": _parts("libc6"),
    }
    files = (
        "opt/holoscan/app/__main__.py", "opt/holoscan/operators/__init__.py", "opt/holoscan/models/neck/model.yaml",
        "opt/holoscan/docs/README.md", "opt/holoscan/docs/LICENSE", "opt/holoscan/docs/docs/reference/errors.md",
        "var/holoscan/app.yaml", *content,
    )  # fmt: skip
    entries = dict.fromkeys(files, _FILE) | {"var/holoscan": _FOLDER, "var/holoscan/input": _FOLDER}
    entries["var/holoscan/output"] = replace(_FOLDER, uid=1000)
    entries["opt/holoscan/entrypoint.sh"] = replace(_FILE, mode=0o755)
    entries["opt/cspine/lib/x.pyc"] = replace(_FILE, start=b"\xa7\r\r\n\x01\0\0\0")
    labels = {
        "org.opencontainers.image.title": SETTINGS["application"]["title"],
        "org.opencontainers.image.version": SETTINGS["application"]["version"],
        "org.monai.deploy.app-sdk": "4.0.0",
        "org.nvidia.holoscan": "4.6.0",
    }
    config = {
        "Os": "linux",
        "Architecture": "amd64",
        "Created": "2023-11-14T22:13:20Z",
        "Config": {
            "User": "1000:1000",
            "WorkingDir": "/var/holoscan",
            "Entrypoint": ["/opt/holoscan/entrypoint.sh"],
            "Labels": labels,
            "Env": [f"{name}={value}" for name, value in _VARIABLES.items()],
        },
    }
    return Image("cspine:test", ["podman"], config, entries, content)


def _parts(name: str, *more: dict[str, Any]) -> bytes:
    return json.dumps({"bomFormat": "CycloneDX", "components": [{"name": name}, *more]}).encode()


def _failing(image: Image) -> list[str]:
    failing = []
    for item in ITEMS:
        try:
            item.check(image)
        except (CheckError, ValueError):
            failing.append(item.name)
    return failing


def test_every_item_passes_for_a_good_image(image: Image) -> None:
    assert _failing(image) == []


def _manifest(image: Image, name: str, **changed: Any) -> None:
    path = f"etc/holoscan/{name}"
    image.content[path] = json.dumps(json.loads(image.content[path]) | changed).encode()


def _config(image: Image) -> dict[str, Any]:
    found = image.config["Config"]
    assert isinstance(found, dict)
    return found


_FAULTS: dict[str, Callable[[Image], object]] = {
    "platform": lambda i: i.config.update(Architecture="arm64"),
    "labels": lambda i: _config(i)["Labels"].update({"org.opencontainers.image.version": "1"}),
    "user": lambda i: _config(i).update(User="root"),
    "working-folder": lambda i: _config(i).update(WorkingDir="/"),
    "entry-point": lambda i: i.entries.update({"opt/holoscan/entrypoint.sh": _FILE}),
    "application-fields": lambda i: _manifest(i, "app.json", timeout=-1),
    "environment": lambda i: _config(i)["Env"].append("HOLOSCAN_WORKDIR=/elsewhere"),
    "application": lambda i: i.entries.pop("opt/holoscan/app/__main__.py"),
    "models": lambda i: _manifest(i, "pkg.json", models=[]),
    "resources": lambda i: _manifest(i, "pkg.json", resources={"cpu": 2, "gpu": 1, "memory": "8Gi"}),
    "folders": lambda i: i.entries.update({"var/holoscan/output": _FOLDER}),
    "read-only": lambda i: i.entries.update({"opt/holoscan/app/x.py": replace(_FILE, mode=0o666)}),
    "documents": lambda i: i.entries.pop("opt/holoscan/docs/LICENSE"),
    "sbom": lambda i: i.content.update({"opt/holoscan/docs/sbom-python.cdx.json": _parts("numpy")}),
    "no-setuid": lambda i: i.entries.update({"usr/bin/su": replace(_FILE, mode=0o4755)}),
    "no-dated-byte-code": lambda i: i.entries.update({"opt/y.pyc": replace(_FILE, start=b"\xa7\r\r\n\0\0\0\0")}),
    "no-ports-or-volumes": lambda i: _config(i).update(Volumes={"/data": {}}),
    "no-secrets": lambda i: i.entries.update({"opt/holoscan/x": replace(_FILE, start=bytes(128) + b"DICM")}),
    "date": lambda i: i.config.update(Created="2024-01-01T00:00:00Z"),
}


def test_there_is_a_fault_for_every_item() -> None:
    assert [item.name for item in ITEMS] == list(_FAULTS)


@pytest.mark.parametrize("name", _FAULTS)
def test_the_item_fails_for_the_image_with_its_fault(name: str, image: Image) -> None:
    _FAULTS[name](image)
    assert name in _failing(image)


def test_an_image_is_read_through_the_engine(tmp_path: Path) -> None:
    archive = tmp_path / "rootfs.tar"
    with tarfile.open(archive, "w") as tar:
        info = tarfile.TarInfo("etc/holoscan/app.json")
        info.size, info.mode, info.uid = 2, 0o644, 7
        tar.addfile(info, io.BytesIO(b"{}"))
    engine = tmp_path / "engine"
    engine.write_text(
        "#!/bin/sh\n"
        'case "$1" in image) echo \'[{"Os": "linux"}]\' ;; create) echo c0ffee ;;'
        f' export) cat {archive} ;; rm) echo "$2" > {tmp_path}/removed ;; esac\n'
    )
    engine.chmod(0o755)
    image = Image("cspine:test", [str(engine)])
    image.load()
    assert image.config == {"Os": "linux"}
    assert image.app == {}
    assert image.entry("/etc/holoscan/app.json").uid == 7
    assert (tmp_path / "removed").read_text().strip() == "c0ffee"
    with pytest.raises(CheckError):
        image.entry("/etc/holoscan/pkg.json")


def test_the_containerfile_declares_what_the_check_expects() -> None:
    text = (Path(__file__).resolve().parents[3] / "deploy" / "Containerfile").read_text()
    assert [name for name, value in _VARIABLES.items() if f"{name}={value}" not in text] == []
