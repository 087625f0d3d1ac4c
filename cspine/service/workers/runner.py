"""The run of one job in a worker process: it reads ``input/`` and writes ``results/``."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cspine.service.config import Run
from cspine.service.queue.spool import read_job

if TYPE_CHECKING:
    from cspine.models.package import ModelPackage

#: Runs the study in a job's folder with a clock (ISO 8601); returns the seconds per step; raises CSpineError.
Runner = Callable[[Path, str], dict[str, float]]

#: Creates the runner of a device in the worker process; loads the model.
RunnerFactory = Callable[[Run, str], Runner]


def study_runner(run: Run, device: str) -> Runner:
    """Load the model and return a runner that uses it, and what replaces it, for each job.

    Parameters
    ----------
    run : Run
        Settings.
    device : str
        As `InferenceSettings`.

    Raises
    ------
    ModelError
        If the model is unusable.
    """
    from cspine.core.anatomy import parse_levels
    from cspine.core.findings import parse_fail_on
    from cspine.dicom.clock import Clock
    from cspine.inference.settings import InferenceSettings
    from cspine.io.machine import home_folder
    from cspine.io.output import SUMMARY, StudyOutput
    from cspine.models.package import current_package
    from cspine.models.registry import model_to_run
    from cspine.pipeline.outputs import parse_outputs, with_summary
    from cspine.pipeline.settings import RunSettings
    from cspine.pipeline.steps import read_headers
    from cspine.pipeline.study import run_study
    from cspine.surfaces.fe_settings import FeSettings, parse_fe_formats
    from cspine.surfaces.settings import SurfaceSettings, parse_formats

    def package_to_run(held: ModelPackage | None) -> ModelPackage:
        return current_package(model_to_run(run.model, os.environ, home_folder()), held)

    package = package_to_run(None)
    inference = InferenceSettings(
        device=device,
        folds=run.folds,
        mirror=run.mirror,
        step_size=run.step_size,
        precision=run.precision,
        engine=run.engine,
        roi=run.roi,
    )

    def run_job(folder: Path, clock: str) -> dict[str, float]:
        nonlocal package
        package = package_to_run(package)
        settings = RunSettings(
            clock=Clock.from_iso(clock),
            inference=inference,
            seg_type=run.seg_type,
            rules_file=run.rules,
            repair_gaps=run.repair_gaps,
            incomplete=read_job(folder).incomplete,
            levels=parse_levels(run.levels) if run.levels else None,
            solve_levels=run.solve_levels,
            confidence=run.confidence,
            outputs=with_summary(parse_outputs(run.outputs)) if run.outputs else None,
            fail_on=parse_fail_on(run.fail_on) if run.fail_on else (),
            surfaces=SurfaceSettings(formats=parse_formats(run.surface_format)),
            elements=FeSettings(formats=parse_fe_formats(run.fe_format)),
        )
        with StudyOutput(folder / "results", overwrite=True) as output:
            run_study(read_headers(folder / "input"), package, settings, output)
        summary = json.loads((folder / "results" / "report" / SUMMARY).read_text("utf-8"))
        seconds: dict[str, float] = summary["timings_s"]
        return seconds

    return run_job
