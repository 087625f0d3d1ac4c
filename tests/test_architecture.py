"""Which package may import which: the arrows of docs/architecture.md."""

from __future__ import annotations

import ast
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
    "inference": {"core", "models"},
    "postprocessing": {"core"},
    "measurements": {"core"},
    "report": {"core", "io", "measurements"},
    "pipeline": {"core", "io", "dicom", "models", "inference", "postprocessing", "measurements", "report"},
}
#: Packages that use the steps; they do not know each other, and only the commands know `study`.
USERS = ("service", "cohort", "doctor", "study")
ALLOWED: dict[str, set[str]] = {
    **STEPS,
    **{name: set(STEPS) for name in sorted(USERS)},
    "cli": {*STEPS, *USERS},
}


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
        for importer, imported in _imports(ROOT / "cspine" / package)
        if imported.startswith("cspine.") and imported.split(".")[1] not in known | {"__version__"}
    }
    assert wrong == set()


def test_cspine_knows_neither_the_operators_nor_the_application() -> None:
    found = [pair for pair in _imports(ROOT / "cspine") if _within(pair[1], "operators") or _within(pair[1], "app")]
    assert found == []


@pytest.mark.parametrize("folder", ["app", "operators"])
@pytest.mark.parametrize("package", ["cspine.cli", "cspine.study", "cspine.service", "cspine.cohort", "cspine.doctor"])
def test_the_application_and_its_operators_know_only_the_steps(folder: str, package: str) -> None:
    assert [pair for pair in _imports(ROOT / folder) if _within(pair[1], package)] == []


def test_the_operators_do_not_know_the_application() -> None:
    assert [pair for pair in _imports(ROOT / "operators") if _within(pair[1], "app")] == []
