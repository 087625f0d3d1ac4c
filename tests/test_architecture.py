"""Which package may import which: the arrows of docs/architecture.md."""

from __future__ import annotations

import ast
import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

#: Packages of cspine in the order of a study, and what each may import beside itself.
STEPS = {
    "core": set(),
    "io": {"core"},
    "dicom": {"core", "io"},
    "models": {"core", "io"},
    "inference": {"core", "io", "models"},
    "postprocessing": {"core"},
    "measurements": {"core"},
    "surfaces": {"core", "io"},
    "report": {"core", "io", "dicom", "measurements"},
    "pipeline": {"core", "io", "dicom", "models", "inference", "postprocessing", "measurements", "surfaces", "report"},
}
#: Packages that use the steps; they do not know each other, and only the commands know `study`.
USERS = ("service", "cohort", "doctor", "study")
ALLOWED: dict[str, set[str]] = {
    **STEPS,
    **{name: set(STEPS) for name in sorted(USERS)},
    "cli": {*STEPS, *USERS},
    "operators": set(STEPS),
    "app": {*STEPS, "operators"},
}
#: Folders of the root that are packages of cspine by a link.
LINKED = {"operators", "app"}


def _imports(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield each module of a folder with each module that it imports, wherever in the file."""
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(ROOT).with_suffix("").as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((name, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{name} has a relative import"
                yield name, str(node.module)
                yield from ((name, f"{node.module}.{alias.name}") for alias in node.names)


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def test_every_package_of_cspine_has_its_arrows() -> None:
    assert {path.parent.name for path in (ROOT / "cspine").glob("*/__init__.py")} == ALLOWED.keys()
    assert {path.stem for path in (ROOT / "cspine").glob("*.py")} == {"__init__", "__main__", "api"}


@pytest.mark.parametrize("package", ALLOWED)
def test_a_package_imports_those_before_it_and_no_other(package: str) -> None:
    known = ALLOWED[package] | {package}
    wrong = {
        (importer, imported)
        for importer, imported in _imports((ROOT / "cspine" / package).resolve())
        if imported.startswith("cspine.") and imported.split(".")[1] not in known | {"__version__"}
    }
    assert wrong == set()


@pytest.mark.parametrize("folder", [*sorted(LINKED), "cspine"])
def test_operators_and_application_have_one_name(folder: str) -> None:
    found = [pair for pair in _imports(ROOT / folder) if _within(pair[1], "operators") or _within(pair[1], "app")]
    assert found == []


def test_operators_and_application_are_packages_of_cspine_by_a_link() -> None:
    links = {path.name: path.resolve() for path in (ROOT / "cspine").iterdir() if path.is_symlink()}
    assert links == {name: ROOT / name for name in LINKED}


def test_only_one_module_of_operators_and_application_imports_the_sdk() -> None:
    importers = {
        importer
        for folder in LINKED
        for importer, imported in _imports(ROOT / folder)
        if _within(imported, "monai") or _within(imported, "holoscan")
    }
    assert importers == {"operators/sdk"}


def _exists(imported: str) -> bool:
    package, _, name = imported.rpartition(".")
    try:
        module = importlib.import_module(package)
    except ModuleNotFoundError:
        return False
    return hasattr(module, name) or (hasattr(module, "__path__") and importlib.util.find_spec(imported) is not None)


@pytest.mark.parametrize("folder", ["benchmarks", "docs"])
def test_scripts_beside_the_package_import_names_that_exist(folder: str) -> None:
    pairs = [pair for pair in _imports(ROOT / folder) if pair[1].startswith("cspine.")]
    assert pairs
    assert [pair for pair in pairs if not _exists(pair[1])] == []
