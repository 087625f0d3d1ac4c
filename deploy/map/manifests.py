"""Write the two manifests of a MONAI application package, app.json and pkg.json, from app.yaml.

Runs in the image while it is built: the manifests contain the environment of the image. Where the MAP guidelines and
the packager of holoscan-cli 4.2.0 differ, both spellings are written.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

_API_VERSION = "1.0.0"
_APPLICATION = "HOLOSCAN_APPLICATION"
#: For one study: app.yaml has no key for it that a packager reads.
_TIMEOUT_S = 3600
_WORKDIR = "HOLOSCAN_WORKDIR"
_INPUT = "HOLOSCAN_INPUT_PATH"
_OUTPUT = "HOLOSCAN_OUTPUT_PATH"
_MODELS = "HOLOSCAN_MODEL_PATH"


def application_manifest(
    settings: Mapping[str, Any], environment: Mapping[str, str], sdk_version: str
) -> dict[str, Any]:
    """Return the content of app.json.

    Parameters
    ----------
    settings : mapping
        app.yaml.
    environment : mapping
        Environment of the image; the manifest contains its HOLOSCAN_* variables.
    sdk_version : str
        Version of monai-deploy-app-sdk.
    """
    application = settings["application"]
    return {
        "apiVersion": _API_VERSION,
        "type": "application",
        "command": json.dumps(["python3", environment[_APPLICATION]]),
        "environment": {name: value for name, value in sorted(environment.items()) if name.startswith("HOLOSCAN_")},
        "input": _location(environment[_INPUT], application["input-formats"], environment[_WORKDIR]),
        "output": _location(environment[_OUTPUT], application["output-formats"], environment[_WORKDIR]),
        "liveness": None,
        "readiness": None,
        "sdk": "monai-deploy",
        "sdkVersion": sdk_version,
        "timeout": _TIMEOUT_S,
        "title": application["title"],
        "version": application["version"],
        "workingDirectory": environment[_WORKDIR],
    }


def _location(path: str, formats: list[str], workdir: str) -> dict[str, Any]:
    relative = os.path.relpath(path, workdir) + "/"
    return {"path": relative, "formats": formats, "format": formats[0]}


def package_manifest(settings: Mapping[str, Any], environment: Mapping[str, str], flavour: str) -> dict[str, Any]:
    """Return the content of pkg.json.

    Parameters
    ----------
    settings : mapping
        app.yaml.
    environment : mapping
        Environment of the image; models are listed from its model folder.
    flavour : str
        ``cpu`` or ``cuda``. A GPU is optional.
    """
    folder = Path(environment[_MODELS])
    models = sorted(path.parent for path in folder.glob("*/model.yaml"))
    return {
        "apiVersion": _API_VERSION,
        "applicationRoot": environment[_APPLICATION],
        "modelRoot": str(folder),
        # Relative to modelRoot, as the guidelines have it.
        "models": [{"name": path.name, "path": path.name} for path in models],
        "resources": {
            "cpu": settings["resources"]["cpu"],
            "gpu": settings["resources"]["gpu"],
            "memory": settings["resources"]["memory"],
        },
        "version": settings["application"]["version"],
        "platformConfig": "dgpu" if flavour == "cuda" else "cpu",
    }


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--app-yaml", type=Path, required=True)
    parser.add_argument("--flavour", choices=("cpu", "cuda"), required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    settings = yaml.safe_load(arguments.app_yaml.read_text(encoding="utf-8"))
    manifests = {
        "app.json": application_manifest(settings, os.environ, metadata.version("monai-deploy-app-sdk")),
        "pkg.json": package_manifest(settings, os.environ, arguments.flavour),
    }
    if not manifests["pkg.json"]["models"]:
        sys.exit(f"no model package below {os.environ[_MODELS]}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, content in manifests.items():
        (arguments.out / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
