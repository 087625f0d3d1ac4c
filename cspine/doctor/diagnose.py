"""All diagnostics, in the order in which a run would meet them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cspine.core.errors import NotReadyError
from cspine.doctor.codecs import codecs
from cspine.doctor.diagnostic import Diagnostic, Status, ok
from cspine.doctor.folders import output_folder, temporary_folder
from cspine.doctor.hardware import devices, main_memory, processor
from cspine.doctor.packages import models
from cspine.doctor.software import SdkProbe, rendering, versions


def diagnose(
    model: str | None, model_folders: Sequence[Path], output: Path | None = None, container_folder: Path | None = None
) -> list[Diagnostic]:
    """Check everything that a run needs.

    Parameters
    ----------
    model : str or None
        Name or folder of a model; None for the default model.
    model_folders : sequence of Path
        Folders with model packages.
    output : Path, optional
        Output folder of a run.
    container_folder : Path, optional
        Folder of models in a container; it has the model of a run.
    """
    sdk = SdkProbe()
    diagnostics = [
        *versions(),
        processor(),
        main_memory(),
        *devices(),
        *models(model, model_folders, container_folder),
        *codecs(),
        rendering(),
        temporary_folder(),
    ]
    if output is not None:
        diagnostics.append(output_folder(output))
    diagnostics.append(ok("network", "not needed"))
    return [*diagnostics, sdk.result()]


def require_ready(diagnostics: Sequence[Diagnostic]) -> None:
    """Refuse a machine with a diagnostic of status FAIL.

    Parameters
    ----------
    diagnostics : sequence of Diagnostic
        What was checked.

    Raises
    ------
    NotReadyError
        If one has that status.
    """
    failed = [diagnostic.name for diagnostic in diagnostics if diagnostic.status is Status.FAIL]
    if failed:
        raise NotReadyError(f"{len(failed)} of {len(diagnostics)} diagnostics failed: {', '.join(failed)}")
