"""The whole diagnosis, line by line in the order in which a run would meet it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cspine.core.errors import NotReadyError
from cspine.doctor.check import Diagnosis, Readiness, ok
from cspine.doctor.codecs import codecs
from cspine.doctor.folders import output_folder, temporary_folder
from cspine.doctor.hardware import devices, main_memory, processor
from cspine.doctor.packages import models
from cspine.doctor.software import SdkProbe, drawing, versions


def examine(
    model: str | None, places: Sequence[Path], output: Path | None = None, pointed_to: Path | None = None
) -> list[Diagnosis]:
    """Look at everything that a run needs.

    Parameters
    ----------
    model : str or None
        Name or folder of a model; the default model where it is None.
    places : sequence of Path
        Folders of models.
    output : Path, optional
        Output folder of a run.
    pointed_to : Path, optional
        Folder of models that a container names; it holds the model of a run.
    """
    sdk = SdkProbe()
    lines = [
        *versions(),
        processor(),
        main_memory(),
        *devices(),
        *models(model, places, pointed_to),
        *codecs(),
        drawing(),
        temporary_folder(),
    ]
    if output is not None:
        lines.append(output_folder(output))
    lines.append(ok("network", "not needed: nothing is fetched and nothing is sent"))
    return [*lines, sdk.result()]


def require_ready(checks: Sequence[Diagnosis]) -> None:
    """Raise NotReadyError where a line says FAIL."""
    failed = [check.name for check in checks if check.verdict is Readiness.FAIL]
    if failed:
        raise NotReadyError(f"{len(failed)} of {len(checks)} checks failed: {', '.join(failed)}")
