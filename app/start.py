"""Read the paths as the SDK does, run the application, and exit with the code of its outcome."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from monai.deploy.core import Application

from app.application import CSpineApplication
from app.interrupts import open_outputs
from cspine.core.errors import CSpineError, as_defect
from cspine.dicom.archive import open_input
from cspine.dicom.clock import Clock
from cspine.io.console import print_error
from cspine.io.machine import home_folder
from cspine.io.output import StudyOutput
from cspine.models.package import load_package
from cspine.models.registry import model_to_run
from cspine.pipeline.settings import RunSettings, sender_broke_off, solving_wanted, wanted_levels, wanted_outputs
from cspine.report.terminal import print_results
from operators.step import Job


def run(input_path: Path, output_path: Path, model_path: Path | None) -> None:
    """Run the application on one study.

    Parameters
    ----------
    input_path : Path
        Folder or zip archive with the files of the study.
    output_path : Path
        Folder in which ``dicom/`` and ``report/`` appear.
    model_path : Path or None
        Folder of model packages; those of cspine if None.

    Raises
    ------
    CSpineError
        If the run fails; no results are left behind.
    """
    package = load_package(model_to_run(None, os.environ, home_folder(), model_path))
    settings = RunSettings(
        Clock.from_environment(),
        incomplete=sender_broke_off(os.environ),
        levels=wanted_levels(os.environ),
        solve_levels=solving_wanted(os.environ),
        outputs=wanted_outputs(os.environ),
    )
    with open_input(input_path) as folder, StudyOutput(output_path) as output:
        job = Job(folder, package, settings, output.staging)
        application = CSpineApplication(job=job)
        open_outputs.append(output)
        try:
            application.run()
        except RuntimeError as error:
            raise job.failure or CSpineError("the application stopped unexpectedly") from error
        if job.failure is not None:
            raise job.failure
        if job.summary is None:
            raise CSpineError("the application ended without results")
        output.commit()
    print_results(job.summary, output_path)


def main() -> None:
    """Read the paths as the SDK does, run the application, and exit with the code of its outcome."""
    context = Application.init_app_context(sys.argv)
    # The SDK has a default path; the models of cspine are used only if no folder was named.
    named = bool(context.args.get("model")) or "HOLOSCAN_MODEL_PATH" in os.environ
    try:
        run(Path(context.input_path), Path(context.output_path), Path(context.model_path) if named else None)
    except Exception as unexpected:
        error = as_defect(unexpected)
        print_error(error)
        sys.exit(error.exit_code)
