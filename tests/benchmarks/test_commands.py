"""The commands of benchmarks that the repository prints start as they are printed, from its root."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRINTED = re.compile(r"python (benchmarks/\w+\.py|-m benchmarks\.\w+)")
PAGES = [
    *ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("models/*/README.md"),
    *ROOT.glob("benchmarks/*.py"), ROOT / "Makefile",
]  # fmt: skip
COMMANDS = sorted({command for page in PAGES for command in PRINTED.findall(page.read_text(encoding="utf-8"))})


def imports_of_the_root(source: str) -> set[str]:
    """Packages that are found only from the root of the repository, imported when the module is."""
    body = ast.parse(source).body
    names = [node.module or "" for node in body if isinstance(node, ast.ImportFrom)]
    names += [alias.name for node in body if isinstance(node, ast.Import) for alias in node.names]
    return {name.split(".")[0] for name in names} & {"benchmarks", "tests"}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_printed_command_finds_what_it_imports(command: str) -> None:
    by_module = command.startswith("-m ")
    path = ROOT / (command.removeprefix("-m ").replace(".", "/") + ".py" if by_module else command)
    source = path.read_text(encoding="utf-8")
    # `python FILE` puts the folder of the file on the path, `python -m` the working folder.
    assert by_module or "sys.path.insert(0" in source or not imports_of_the_root(source)
