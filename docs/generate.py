"""Write the generated parts of the reference pages from the code that they describe.

``python docs/generate.py`` rewrites every part between ``<!-- generated: NAME -->`` and ``<!-- end -->``; with
``--check`` it only compares, and exits with 1 where a page is out of date.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import click

from cspine.cli.main import cli
from cspine.core.errors import errors_table
from cspine.core.findings import findings_table
from cspine.measurements.published import published_table
from cspine.measurements.quantities import quantities_table
from cspine.measurements.uncertainty import uncertainty_table
from cspine.pipeline.label_schemes import schemes_table
from cspine.report.sr_codes import codes_table
from cspine.report.summary import schema_tables
from cspine.service.ops.config_reference import config_tables
from cspine.service.ops.metrics import metrics_table

_REFERENCE = Path(__file__).parent / "reference"
_PART = re.compile(r"(<!-- generated: (?P<name>[a-z-]+) -->\n\n)(?P<text>.*?)(\n\n<!-- end -->)", re.DOTALL)


def commands() -> str:
    """Return the help of every command, one heading each."""
    parts: list[str] = []
    settings = cli.context_settings | {"max_content_width": 100, "terminal_width": 100}
    _help_of(cli, click.Context(cli, info_name="cspine", **settings), parts)
    return "\n\n".join(parts)


def _help_of(command: click.Command, context: click.Context, parts: list[str]) -> None:
    parts.append(f"## {context.command_path}\n\n```text\n{command.get_help(context).strip()}\n```")
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            sub = command.get_command(context, name)
            assert sub is not None
            inner = click.Context(sub, parent=context, info_name=name, max_content_width=100, terminal_width=100)
            _help_of(sub, inner, parts)


def api() -> str:
    """Return a directive for every public name of the Python API, in the order of each ``__all__``."""
    parts = [f"::: cspine.{name}" for name in import_module("cspine").__all__ if name not in ("__version__", "study")]
    study = [f"::: cspine.study.{name}" for name in import_module("cspine.study").__all__]
    return "\n\n".join([*parts, "## The study", *study])


def measurements() -> str:
    """Return definitions, published values, uncertainties and codes of the quantities, one heading each."""
    parts = {
        "Quantities": quantities_table(),
        "Published values": published_table(),
        "Standard uncertainty by distance of slices": uncertainty_table(),
        "Codes of the DICOM SR": codes_table(),
    }
    return "\n\n".join(f"## {title}\n\n{text}" for title, text in parts.items())


GENERATORS: dict[str, Callable[[], str]] = {
    "errors": errors_table,
    "findings": findings_table,
    "summary": schema_tables,
    "measurements": measurements,
    "configuration": config_tables,
    "metrics": metrics_table,
    "label-schemes": schemes_table,
    "commands": commands,
    "api": api,
}


def generated(text: str) -> str:
    """Return a page with every generated part as the code says today."""
    return _PART.sub(lambda part: part[1] + GENERATORS[part["name"]]().strip() + part[4], text)


def pages() -> dict[Path, str]:
    """Return every reference page with a generated part, as it should be."""
    found = {}
    for path in sorted(_REFERENCE.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        if _PART.search(text):
            found[path] = generated(text)
    return found


def main() -> None:
    """Rewrite the pages, or compare them."""
    stale = [path for path, text in pages().items() if path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path.name} is out of date: run `python docs/generate.py`", file=sys.stderr)
        sys.exit(1 if stale else 0)
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
