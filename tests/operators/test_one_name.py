"""`cspine.operators` and `cspine.app` from a checkout, an editable install and a wheel: one class each."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("holoscan")
pytest.importorskip("setuptools")

ROOT = Path(__file__).resolve().parents[2]
OPERATORS = ("CtReaderOperator", "DicomSegWriterOperator", "DicomSeriesLoaderOperator", "DicomSrWriterOperator",
             "NnunetInferenceOperator", "PostprocessingOperator", "ReportWriterOperator")  # fmt: skip
_IMPORT = """
import sys
from pathlib import Path
{site}
import cspine.operators, cspine.app.app
graph = cspine.app.app
for name in {operators!r}:
    assert getattr(graph, name) is getattr(cspine.operators, name)
twice = [name for name in sys.modules if name.split(".")[0] in ("app", "operators")]
assert not twice, twice
print(Path(cspine.operators.__file__).resolve())
try:
    import operators
except ImportError as error:
    assert "operators" in str(error)
else:
    raise AssertionError("two names for one class")
"""
_BUILD = """
import sys
from setuptools import build_meta
wheel, editable = sys.argv[1:]  # setuptools changes it
build_meta.build_wheel(wheel)
build_meta.build_editable(editable)
"""


def loaded_from(*paths: Path, cwd: Path, site: Path | None = None) -> Path:
    """Import all of it in a new interpreter; return where the operators lie."""
    # Without the environment's own .pth files: an editable install of cspine among them would be found first.
    packages = sysconfig.get_path("purelib")
    line = f"import site; site.addsitedir({str(site)!r}); sys.path.append({packages!r})" if site else ""
    done = subprocess.run(
        [sys.executable, *(["-S"] if site else []), "-Wignore", "-c", _IMPORT.format(site=line, operators=OPERATORS)],
        cwd=cwd, env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, its wheel unpacked, and its editable install."""
    folder = tmp_path_factory.mktemp("built")
    source = folder / "source"
    source.mkdir()
    for name in ("cspine", "app", "operators"):
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    (folder / "wheel").mkdir()
    (folder / "editable").mkdir()
    command = [sys.executable, "-W", "ignore", "-c", _BUILD, str(folder / "wheel"), str(folder / "editable")]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    for kind in ("wheel", "editable"):
        (archive,) = (folder / kind).glob("*.whl")
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(folder / kind)
    return folder


def test_in_a_checkout(tmp_path: Path) -> None:
    assert loaded_from(ROOT, cwd=tmp_path) == ROOT / "operators" / "__init__.py"


def test_from_a_wheel(built: Path, tmp_path: Path) -> None:
    wheel = built / "wheel"
    assert loaded_from(wheel, cwd=tmp_path) == wheel / "cspine" / "operators" / "__init__.py"
    for name in ("operators", "app"):
        assert {path.name for path in (wheel / "cspine" / name).iterdir() if path.is_file()} == {
            path.name for path in (ROOT / name).iterdir() if path.suffix == ".py"
        }
    assert sorted(path.name for path in wheel.iterdir() if path.is_dir() and path.suffix == "") == ["cspine"]


def test_from_an_editable_install(built: Path, tmp_path: Path) -> None:
    assert loaded_from(cwd=tmp_path, site=built / "editable") == built / "source" / "operators" / "__init__.py"
