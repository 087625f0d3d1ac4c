"""`cspine doctor`: check whether this machine or container is ready for a run."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cspine.io.console import table, with_options

if TYPE_CHECKING:
    from cspine.doctor.diagnostic import Diagnostic


@click.command(name="doctor")
@click.option("--model", help="Name of an installed model package, or its folder.  [default: cervical-demo]")
@click.option("--output", type=click.Path(path_type=Path), help="Also check that this output folder is writable.")
@click.option("--json", "as_json", is_flag=True, help="Print the diagnostics as JSON.")
def command(model: str | None, output: Path | None, as_json: bool) -> None:
    """Check whether this machine or container is ready for a run.

    The diagnostics cover versions, processor, memory, GPUs, model checksums, compressed transfer syntaxes, fonts and
    folders. Each has status OK, WARN or FAIL, and advice. They use no network.

    The exit code is 0 if no diagnostic has status FAIL, otherwise 17: docs/guide/doctor.md.
    """
    from cspine.cli.models import model_folders
    from cspine.doctor.diagnose import diagnose, require_ready
    from cspine.models.registry import container_folder

    diagnostics = diagnose(model, model_folders(), output, container_folder(os.environ))
    if as_json:
        click.echo(_json(diagnostics))
    else:
        _show(diagnostics)
    require_ready(diagnostics)


def _show(diagnostics: Sequence[Diagnostic]) -> None:
    from cspine.doctor.diagnostic import Status

    table(
        "cspine doctor",
        ("status", "check", "detail"),
        [(diagnostic.status.value, diagnostic.name, diagnostic.text) for diagnostic in diagnostics],
    )
    for diagnostic in diagnostics:
        if diagnostic.status is not Status.OK:
            click.echo(with_options(f"{diagnostic.status} {diagnostic.name}: {diagnostic.advice}"))


def _json(diagnostics: Sequence[Diagnostic]) -> str:
    from cspine.doctor.diagnostic import Status

    ready = all(diagnostic.status is not Status.FAIL for diagnostic in diagnostics)
    return json.dumps({"ready": ready, "diagnostics": [diagnostic.as_json() for diagnostic in diagnostics]}, indent=1)
