"""Drive the classes of the stock packager up to the build context, without Docker and network.

    package_context.py PACKAGE APP_YAML CONTEXT

PACKAGE is what package.py made. holoscan-cli 4.2.0 then calls `docker buildx` on such a folder; the manifest of base
images, which it fetches from a server, is given to it here.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

TITLE = "cspine"
TIMEOUT_S = 3600


def build_context(package: Path, app_yaml: Path, context: Path) -> dict[str, dict[str, Any]]:
    """Write the build context into a folder, as `monai-deploy package` does before it calls Docker.

    Parameters
    ----------
    package : Path
        Folder with ``app``, ``models`` and the wheel.
    app_yaml : Path
        The application's configuration.
    context : Path
        Empty or new folder.

    Returns
    -------
    dict
        ``app.json`` and ``pkg.json`` as they were written.
    """
    from holoscan_cli.packager.arguments import PackagingArguments
    from holoscan_cli.packager.container_builder import PythonAppBuilder

    context.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "artifacts.json"
        source.write_text(json.dumps(_artifacts()), encoding="utf-8")
        arguments = PackagingArguments(parse(package, app_yaml, source), str(context))
    manifests = {"app.json": arguments.application_manifest.data, "pkg.json": arguments.package_manifest.data}
    (context / "map").mkdir()
    for name, content in manifests.items():
        (context / "map" / name).write_text(json.dumps(content), encoding="utf-8")
    builder = PythonAppBuilder(arguments.build_parameters, str(context))
    (platform,) = arguments.platforms
    builder._copy_supporting_files(platform)
    builder._write_dockerfile(platform)
    return manifests


def command(package: Path, app_yaml: Path) -> list[str]:
    """Return the documented command, without the program's name."""
    (wheel,) = package.glob("cspine-*.whl")
    return [
        "package", str(package / "app"), "--config", str(app_yaml), "--models", str(package / "models"),
        "--platform", "x86_64", "--tag", f"{TITLE}:{wheel.name.split('-')[1]}", "--timeout", str(TIMEOUT_S),
        "--monai-deploy-sdk-file", str(wheel),
    ]  # fmt: skip


def parse(package: Path, app_yaml: Path, source: Path) -> argparse.Namespace:
    """Parse the documented command with the packager's own parser."""
    from holoscan_cli.packager.package_command import create_package_parser

    parser = argparse.ArgumentParser()
    create_package_parser(parser.add_subparsers(), "package", [])
    extra = ["--source", str(source), "--sdk", "monai-deploy"]
    return parser.parse_args([*command(package, app_yaml), *extra])


def _artifacts() -> dict[str, Any]:
    """Return the packager's list of base images, for the installed Holoscan; no image is pulled here."""
    from holoscan_cli.common.enum_types import PlatformConfiguration

    images = {configuration.value: "nvcr.io/nvidia/base" for configuration in PlatformConfiguration}
    version = metadata.version("holoscan-cu13")
    return {
        version: {
            "holoscan": {
                "wheel-version": version,
                "debian-version": version,
                "base-images": images,
                "build-images": {name: {} for name in images},
            }
        }
    }


def main() -> None:
    """Make the context that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("package", "app_yaml", "context"):
        parser.add_argument(name, type=Path)
    asked = parser.parse_args()
    logging.disable(logging.INFO)
    build_context(asked.package, asked.app_yaml, asked.context)


if __name__ == "__main__":
    main()
