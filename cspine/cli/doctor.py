"""`cspine doctor`: whether this machine or container is ready for a run."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cspine.io.console import table

if TYPE_CHECKING:
    from cspine.doctor.check import Diagnosis


@click.command(name="doctor")
@click.option("--model", help="Name of an installed model package, or its folder.  [default: cervical-demo]")
@click.option("--output", type=click.Path(path_type=Path), help="Output folder of a run: can it be written?")
@click.option("--json", "as_json", is_flag=True, help="Print the lines as JSON.")
def command(model: str | None, output: Path | None, as_json: bool) -> None:
    """Tell whether this machine or container is ready for a run.

    Versions, processor, memory, GPUs, the model's checksums, a small image in every compressed transfer syntax, fonts
    and folders are looked at; each line says OK, WARN or FAIL, and what to do. No network is used.

    The exit code is 0 where nothing FAILs, else 17: docs/doctor.md.
    """
    from cspine.cli.models import places
    from cspine.doctor.examine import examine, require_ready
    from cspine.models.registry import container_folder

    checks = examine(model, places(), output, container_folder(os.environ))
    if as_json:
        click.echo(_json(checks))
    else:
        _show(checks)
    require_ready(checks)


def _show(checks: Sequence[Diagnosis]) -> None:
    from cspine.doctor.check import Readiness

    table(
        "cspine doctor",
        ("Result", "Check", "Seen"),
        [(check.verdict.value, check.name, check.text) for check in checks],
    )
    for check in checks:
        if check.verdict is not Readiness.OK:
            click.echo(f"{check.verdict} {check.name}: {check.advice}")


def _json(checks: Sequence[Diagnosis]) -> str:
    from cspine.doctor.check import Readiness

    ready = all(check.verdict is not Readiness.FAIL for check in checks)
    return json.dumps({"ready": ready, "checks": [check.as_json() for check in checks]}, indent=1)
