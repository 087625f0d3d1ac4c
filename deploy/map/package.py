"""Prepare the folder that the stock packager (`monai-deploy package`) is given.

    package.py FOLDER       makes FOLDER/app, FOLDER/models and FOLDER/cspine-VERSION-py3-none-any.whl

The packager copies the folder of the application alone and installs its requirements.txt and one wheel from a file
(--monai-deploy-sdk-file): docs/guide/monai-developers.md has the command. Needs setuptools 77 or later, and no network.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODEL = "cervical-demo"
_BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
_SOURCES = ("cspine", "app", "operators", "pyproject.toml", "setup.py", "README.md", "LICENSE")


def prepare(folder: Path) -> Path:
    """Make the folder anew.

    Parameters
    ----------
    folder : Path
        What is there is replaced.

    Returns
    -------
    Path
        The wheel.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(ROOT / "app", folder / "app", ignore=ignore)
    shutil.copytree(ROOT / "models" / MODEL, folder / "models" / MODEL, ignore=ignore)
    # The packager looks for it beside the application. Its pip resolves dependencies: every pin must be there.
    shutil.copy(ROOT / "requirements.txt", folder / "app")
    return build_wheel(folder)


def build_wheel(folder: Path) -> Path:
    """Build cspine's wheel into a folder, from a copy of the sources."""
    with tempfile.TemporaryDirectory(prefix="cspine-wheel-") as scratch:
        for name in _SOURCES:
            source, target = ROOT / name, Path(scratch) / name
            if source.is_dir():
                shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        # The model itself lies beside the application; what was measured of it travels in the wheel.
        (Path(scratch) / "models").mkdir()
        for record in (ROOT / "models").glob(f"{MODEL}.*.json"):
            shutil.copy(record, Path(scratch) / "models")
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", _BUILD, str(folder.resolve())],
            cwd=scratch, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
    (wheel,) = folder.glob("cspine-*.whl")
    return wheel


def main() -> None:
    """Prepare the folder that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    wheel = prepare(parser.parse_args().folder)
    print(f"{wheel.parent}: app, models, {wheel.name}")


if __name__ == "__main__":
    main()
