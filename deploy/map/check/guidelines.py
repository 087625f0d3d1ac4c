"""The items of the MONAI application package guidelines that need no running container.

Source: Project-MONAI/monai-deploy, guidelines/monai-application-package.md, and the output of the packager of
holoscan-cli 4.2.0; where the two differ, both are satisfied.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import NamedTuple

from image import Image, require

_SEMVER = re.compile(r"^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$")
_MEMORY = re.compile(r"^\d+(\.\d+)?(Ki|Mi|Gi|K|M|G)?$")
_NEEDED_VARIABLES = (
    "HOLOSCAN_APPLICATION", "HOLOSCAN_INPUT_PATH", "HOLOSCAN_OUTPUT_PATH", "HOLOSCAN_WORKDIR", "HOLOSCAN_MODEL_PATH",
    "HOLOSCAN_CONFIG_PATH", "HOLOSCAN_APP_MANIFEST_PATH", "HOLOSCAN_PKG_MANIFEST_PATH", "HOLOSCAN_DOCS_PATH",
    "HOLOSCAN_LOGS_PATH",
)  # fmt: skip
_SECRET_NAMES = {".netrc", ".npmrc", ".pypirc", "pip.conf", "id_rsa", "id_ed25519", ".git", ".env"}


class Item(NamedTuple):
    """One item of the guidelines: a stable name, what it demands, and the check, which raises CheckError."""

    name: str
    title: str
    check: Callable[[Image], None]


def _platform(image: Image) -> None:
    found = (image.config["Os"], image.config["Architecture"])
    require(found == ("linux", "amd64"), f"it is for {found}")


def _labels(image: Image) -> None:
    labels, app, pkg = image.labels, image.app, image.pkg
    version = labels.get("org.opencontainers.image.version", "")
    require(labels.get("org.opencontainers.image.title") == app["title"], "the title differs from app.json")
    require(_SEMVER.match(version), f"version {version!r} is not a semantic version")
    require(version == app["version"] == pkg["version"], "label, app.json and pkg.json have different versions")
    require(labels.get("org.monai.deploy.app-sdk") == app["sdkVersion"], "the SDK's label differs from app.json")
    require(_SEMVER.match(labels.get("org.nvidia.holoscan", "")), "the Holoscan label is no semantic version")


def _user(image: Image) -> None:
    user = str(image.config["Config"]["User"])
    uid = user.partition(":")[0]
    require(uid.isdigit() and int(uid) > 0, f"user {user!r} is not a number above 0")
    known = [line.split(":")[2] for line in image.content["etc/passwd"].decode().splitlines() if line]
    require(uid in known, f"user {uid} is not in passwd")


def _working_folder(image: Image) -> None:
    folder = image.config["Config"]["WorkingDir"]
    require(folder == image.app["workingDirectory"], f"{folder} is not app.json's {image.app['workingDirectory']}")
    image.entry(folder)


def _entry_point(image: Image) -> None:
    program = image.config["Config"]["Entrypoint"][0]
    require(image.entry(program).mode & 0o111 == 0o111, f"{program} is not executable for all users")


def _application_fields(image: Image) -> None:
    app = image.app
    command = json.loads(app["command"])
    require(app["type"] == "application", "the type is not application")
    require(command[-1] == image.environment["HOLOSCAN_APPLICATION"], "the command does not start the application")
    for side in ("input", "output"):
        require(app[side]["path"] and app[side]["formats"], f"{side} has no path or no formats")
    require(isinstance(app["timeout"], int) and app["timeout"] >= 0, "the timeout is not a number of seconds")
    for manifest in (app, image.pkg):
        require(
            _SEMVER.match(manifest["apiVersion"]) and _SEMVER.match(manifest["version"]), "versions are not semantic"
        )


def _environment(image: Image) -> None:
    declared, actual = image.app["environment"], image.environment
    missing = [name for name in _NEEDED_VARIABLES if name not in declared]
    require(not missing, f"app.json lacks {', '.join(missing)}")
    differing = [name for name, value in declared.items() if actual.get(name) != value]
    require(not differing, f"image and app.json differ in {', '.join(differing)}")
    for name in ("HOLOSCAN_CONFIG_PATH", "HOLOSCAN_APP_MANIFEST_PATH", "HOLOSCAN_PKG_MANIFEST_PATH"):
        image.entry(declared[name])


def _application(image: Image) -> None:
    root = image.pkg["applicationRoot"]
    image.entry(f"{root}/__main__.py")
    image.entry(str(PurePosixPath(root).parent / "operators" / "__init__.py"))


def _models(image: Image) -> None:
    models = image.pkg["models"]
    require(models, "pkg.json names no model")
    for model in models:
        require(not PurePosixPath(model["path"]).is_absolute(), "the path of a model is not relative to modelRoot")
        image.entry(f"{image.pkg['modelRoot']}/{model['path']}/model.yaml")


def _resources(image: Image) -> None:
    resources = image.pkg["resources"]
    require(resources["cpu"] > 0 and resources["gpu"] == 0, "a GPU is required, or no CPU")
    require(_MEMORY.match(str(resources["memory"])), f"memory {resources['memory']} has an unknown unit")


def _folders(image: Image) -> None:
    uid = int(str(image.config["Config"]["User"]).partition(":")[0])
    for name in ("HOLOSCAN_INPUT_PATH", "HOLOSCAN_OUTPUT_PATH"):
        require(image.entry(image.environment[name]).kind == "folder", f"{name} is no folder")
    require(
        image.entry(image.environment["HOLOSCAN_OUTPUT_PATH"]).uid == uid,
        "the user does not own the output folder",
    )


def _read_only(image: Image) -> None:
    own = ("etc/holoscan", "opt/holoscan", "opt/cspine")
    for path, entry in image.entries.items():
        if path.startswith(own) and entry.kind != "link":
            require(entry.uid == 0 and not entry.mode & 0o022, f"/{path} is writable by the application")


def _documents(image: Image) -> None:
    folder = image.environment["HOLOSCAN_DOCS_PATH"]
    for name in ("README.md", "LICENSE", "docs/reference/errors.md"):
        image.entry(f"{folder}/{name}")


_MODEL = "machine-learning-model"


def _sbom(image: Image) -> None:
    folder = image.environment["HOLOSCAN_DOCS_PATH"]
    for name, expected in (("sbom-python.cdx.json", "torch"), ("sbom-debian.cdx.json", "libc6")):
        listed = image.json(f"{folder}/{name}")
        require(listed.get("bomFormat") == "CycloneDX", f"{name} is not CycloneDX")
        require(any(part["name"] == expected for part in listed["components"]), f"{name} does not list {expected}")
    models = [p for p in image.json(f"{folder}/sbom-python.cdx.json")["components"] if p.get("type") == _MODEL]
    require(bool(models) and all(p.get("licenses") and p.get("hashes") for p in models), "no model with its licence")


def _no_setuid(image: Image) -> None:
    setuid = [path for path, entry in image.entries.items() if entry.kind == "file" and entry.mode & 0o6000]
    require(not setuid, f"setuid or setgid: {', '.join(setuid[:5])}")


def _no_dated_byte_code(image: Image) -> None:
    dated = [p for p, entry in image.entries.items() if p.endswith(".pyc") and entry.start[4:8] != b"\x01\0\0\0"]
    require(not dated, f"{len(dated)} byte code files depend on a date, for example {', '.join(dated[:2])}")


def _no_ports_or_volumes(image: Image) -> None:
    config = image.config["Config"]
    require(not config.get("ExposedPorts") and not config.get("Volumes"), "it declares ports or volumes")


def _no_secrets(image: Image) -> None:
    outside_libraries = [
        path for path in image.entries if not path.startswith(("opt/cspine/", "usr/", "proc/", "sys/", "dev/"))
    ]
    for path in outside_libraries:
        name = PurePosixPath(path).name
        require(name not in _SECRET_NAMES, f"/{path} may hold secrets")
        start = image.entries[path].start
        require(start[128:132] != b"DICM", f"/{path} is a DICOM file")
        require(b"PRIVATE KEY-----" not in start, f"/{path} is a private key")


def _date(image: Image) -> None:
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    require(epoch, "SOURCE_DATE_EPOCH is not set")
    expected = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(int(epoch or 0)))
    require(image.config["Created"].startswith(expected), f"created {image.config['Created']}, not {expected}")


ITEMS: tuple[Item, ...] = (
    Item("platform", "an image for linux/amd64", _platform),
    Item("labels", "labels: title, semantic version, SDK, Holoscan, equal to the manifests", _labels),
    Item("user", "a numeric user above 0 that is in passwd", _user),
    Item("working-folder", "the working folder of app.json", _working_folder),
    Item("entry-point", "an executable entry point", _entry_point),
    Item("application-fields", "app.json: type, command, input, output, time limit, versions", _application_fields),
    Item("environment", "environment complete and equal in image and app.json", _environment),
    Item("application", "the application with __main__.py, and the operators", _application),
    Item("models", "the models of pkg.json", _models),
    Item("resources", "resources with units; no GPU required", _resources),
    Item("folders", "input and output folders; the output belongs to the user", _folders),
    Item(
        "read-only",
        "manifests, application, models and libraries belong to root and are read-only",
        _read_only,
    ),
    Item("documents", "documents and licence", _documents),
    Item("sbom", "SBOM of Python and Debian packages (CycloneDX)", _sbom),
    Item("no-setuid", "no setuid or setgid file", _no_setuid),
    Item("no-dated-byte-code", "no byte code with dates", _no_dated_byte_code),
    Item("no-ports-or-volumes", "no ports, no volumes", _no_ports_or_volumes),
    Item("no-secrets", "no DICOM, no keys, no credentials", _no_secrets),
    Item("date", "creation date is that of the sources", _date),
)
