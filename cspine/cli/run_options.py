"""The options of a run, shared by every command that runs studies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from cspine.cli.format_options import fe_format_option, surface_format_option
from cspine.dicom.seg_type import SEG_TYPES
from cspine.inference.settings import ENGINES, PRECISIONS, ROIS
from cspine.pipeline.outputs import DEFAULT_IMAGE_OUTPUTS, DEFAULT_OUTPUTS, OUTPUT_NAMES
from cspine.pipeline.settings import CONFIDENCES

if TYPE_CHECKING:
    from cspine.dicom.clock import Clock
    from cspine.inference.settings import InferenceSettings
    from cspine.models.package import ModelPackage
    from cspine.pipeline.settings import RunSettings

Command = TypeVar("Command", bound=Callable[..., object])

_INFERENCE = (
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N."),
    click.option(
        "--engine", default="auto", show_default=True, type=click.Choice(ENGINES),
        help="Library that runs the network: torch on a GPU, OpenVINO on a CPU.",
    ),
    click.option(
        "--precision", default="auto", show_default=True, type=click.Choice(PRECISIONS),
        help="Arithmetic of the network: float32 on a CPU, or bfloat16 where the model is qualified for it.",
    ),
    click.option(
        "--roi", default="auto", show_default=True, type=click.Choice(ROIS),
        help="What a cervical model sees of a long scan: auto, the neck, located first; full, the complete image.",
    ),
    click.option("--folds", help="Folds of the model to average, for example 0,1,2.  [default: all]"),
    click.option(
        "--mirror/--no-mirror", default=False, show_default=True, help="Test-time mirroring: up to 8 x the time."
    ),
    click.option(
        "--step-size",
        default=0.5,
        show_default=True,
        type=click.FloatRange(0.1, 1.0),
        help="Distance of tiles, in patches.",
    ),
)  # fmt: skip
_OPTIONS = (
    click.option("--model", help="Name of an installed model package, or its folder.  [default: cervical-demo]"),
    *_INFERENCE,
    click.option(
        "--seg-type", default="binary", show_default=True, type=click.Choice(SEG_TYPES),
        help="How the DICOM Segmentation stores its labels.",
    ),
    click.option("--rules", "rules_file", type=click.Path(path_type=Path), help="YAML of selection rules."),
    click.option(
        "--levels", metavar="LEVELS",
        help="Write only these levels, for example C1-T1 or C3-C7,L1-L5.  [default: all predicted]",
    ),
    click.option(
        "--solve-levels/--no-solve-levels", default=True, show_default=True,
        help="Renumber vertebrae if this makes their levels consecutive (docs/guide/full-spine.md).",
    ),
    click.option(
        "--fail-on", metavar="SEVERITY|CODE,...",
        help="Write nothing and fail if the result has such a finding, for example serious or CS-FND-010.",
    ),
    click.option(
        "--confidence", default="fast", show_default=True, type=click.Choice(CONFIDENCES),
        help="Confidence in each vertebra, of a calibrated model: fast, from the run itself; full, from three more "
        "runs on altered images.",
    ),
    click.option(
        "--outputs", metavar="NAME,...",
        help=f"What to write: {', '.join(OUTPUT_NAMES)}.  "
        f"[default: {','.join(DEFAULT_OUTPUTS)}; for NIfTI {','.join(DEFAULT_IMAGE_OUTPUTS)}]",
    ),
    surface_format_option,
    fe_format_option,
    click.option("--repair-gaps", is_flag=True, help="Run on the longest regular part of a series with gaps."),
)  # fmt: skip


def run_options(command: Command) -> Command:
    """Add the options of a run to a command."""
    return _with(command, _OPTIONS)


def inference_options(command: Command) -> Command:
    """Add the options of a run that concern only the network to a command."""
    return _with(command, _INFERENCE)


def _with(command: Command, options: Sequence[Callable[[Command], Command]]) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


def run_settings(options: Mapping[str, object], clock: Clock) -> RunSettings:
    """Return the settings of the options.

    Parameters
    ----------
    options : mapping
        Values of `run_options`, and of ``series_uid`` if the command has it.
    clock : Clock
        All dates of the results.

    Raises
    ------
    UsageError
        If a value cannot be used.
    """
    from cspine.cli.levels import wanted_levels
    from cspine.core.findings import parse_fail_on
    from cspine.dicom.seg_type import SegType
    from cspine.pipeline.outputs import parse_outputs
    from cspine.pipeline.settings import RunSettings
    from cspine.surfaces.fe_settings import FeSettings, parse_fe_formats
    from cspine.surfaces.settings import SurfaceSettings, parse_formats

    levels, fail_on, outputs = options["levels"], options["fail_on"], options["outputs"]
    rules, series_uid = options["rules_file"], options.get("series_uid")
    return RunSettings(
        clock=clock,
        inference=inference_settings(options),
        seg_type=SegType(str(options["seg_type"])),
        rules_file=Path(str(rules)) if rules else None,
        series_uid=str(series_uid) if series_uid else None,
        repair_gaps=bool(options["repair_gaps"]),
        levels=wanted_levels(str(levels), "--levels") if levels is not None else None,
        solve_levels=bool(options["solve_levels"]),
        fail_on=parse_fail_on(str(fail_on)) if fail_on is not None else (),
        confidence=options["confidence"],  # type: ignore[arg-type]
        outputs=parse_outputs(str(outputs)) if outputs is not None else None,
        surfaces=SurfaceSettings(formats=parse_formats(str(options["surface_formats"]))),
        elements=FeSettings(formats=parse_fe_formats(str(options["fe_formats"]))),
    )


def inference_settings(options: Mapping[str, object]) -> InferenceSettings:
    """Return the settings of the network of the options; UsageError if a value cannot be used."""
    from cspine.inference.settings import InferenceSettings, parse_folds

    folds = options["folds"]
    return InferenceSettings(
        device=str(options["device"]),
        folds=parse_folds(str(folds) if folds else None),
        mirror=bool(options["mirror"]),
        step_size=float(str(options["step_size"])),
        precision=options["precision"],  # type: ignore[arg-type]
        engine=options["engine"],  # type: ignore[arg-type]
        roi=options["roi"],  # type: ignore[arg-type]
    )


def wanted_model_folder(options: Mapping[str, object]) -> Path:
    """Return the folder of the model that the options name, not yet loaded; errors as `registry.model_to_run`."""
    from cspine.cli.models import wanted_model

    model = options["model"]
    return wanted_model(str(model) if model else None)


def model_package(options: Mapping[str, object]) -> ModelPackage:
    """Load the model that the options name; errors as `registry.find_model` and `package.load_package`."""
    from cspine.models.package import load_package

    return load_package(wanted_model_folder(options))
