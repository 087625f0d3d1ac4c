"""Which package may import which, the arrows of docs/architecture.md, and which of them knows the command line."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from cspine.cli.main import cli

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


#: Packages that run as a command alone; all others are called from Python too, which has no options.
COMMANDS = {"cli", "doctor", "service"}


def _texts(path: Path) -> Iterator[str]:
    """Yield the texts of a module that are no docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    described = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    documentation = {id(node.body[0].value) for node in ast.walk(tree)
                     if isinstance(node, described) and node.body and isinstance(node.body[0], ast.Expr)}  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.value


def _raised(path: Path) -> Iterator[ast.Call]:
    """Yield the calls of a module that make an error."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.endswith("Error"):
            yield node


def _options(command: click.Command) -> set[str]:
    """Return the names of the options of a command and of its subcommands, as settings are named."""
    found = {option.lstrip("-").replace("-", "_") for each in command.params for option in each.opts}
    if isinstance(command, click.Group):
        context = click.Context(command)
        commands = [command.get_command(context, name) for name in command.list_commands(context)]
        return found.union(*(_options(each) for each in commands if each is not None))
    return found


def test_errors_name_settings_and_the_command_line_has_an_option_for_each() -> None:
    files = [path for package in sorted(ALLOWED) for path in sorted((ROOT / "cspine" / package).rglob("*.py"))]
    named = {word for path in files for text in _texts(path) for word in re.findall(r"`([a-z][a-z0-9_]+)`", text)}
    assert {"device", "repair_gaps", "out"} <= named <= _options(cli) | {"help"}
    library = [path for path in files if path.relative_to(ROOT / "cspine").parts[0] not in COMMANDS]
    said = {
        (path.name, part.value)
        for path in library
        for call in _raised(path)
        for part in ast.walk(call)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    }
    assert {text for _, text in said if re.search(r"(?<![\w-])--[a-z]", re.sub(r"`[^`]*`", "", text))} == set()
