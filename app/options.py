"""What a user may choose about the application: one table of options and environment variables.

`--help`, docs/guide/monai-developers.md and app.yaml list the same; nothing here imports the SDK.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, cast

from cspine.core.errors import UsageError
from cspine.dicom.seg_type import SEG_TYPES, SegType
from cspine.inference.settings import ENGINES, PRECISIONS, ROIS, EngineName, Precision, RoiName, parse_folds
from cspine.pipeline.outputs import DEFAULT_OUTPUTS
from cspine.pipeline.settings import CONFIDENCES, ConfidenceName
from cspine.surfaces.fe_settings import DEFAULT_FE_FORMATS, FE_FORMATS
from cspine.surfaces.settings import DEFAULT_FORMATS, SURFACE_FORMATS

_LEVELS = ("DEBUG", "INFO", "WARN", "ERROR", "CRITICAL")


@dataclass(frozen=True)
class Option:
    """One row of the table.

    Parameters
    ----------
    flag : str
        The option, for example ``--seg-type``.
    variable : str
        The equivalent environment variable; the option takes precedence.
    default : str
        The value if neither is given.
    text : str
        Its purpose.
    choices : tuple of str
        The allowed values; any if empty. ``("0", "1")`` defines a switch.
    short : str
        One-letter form.
    """

    flag: str
    variable: str
    default: str
    text: str
    choices: tuple[str, ...] = ()
    short: str = ""

    @property
    def name(self) -> str:
        """Name of the value."""
        return self.flag.removeprefix("--").replace("-", "_")

    @property
    def is_switch(self) -> bool:
        """True for an option without a value."""
        return self.choices == _SWITCH


_SWITCH = ("0", "1")
_ADVICE = "python -m cspine.app --help lists the options and their values."

OPTIONS: tuple[Option, ...] = (
    Option("--input", "HOLOSCAN_INPUT_PATH", "input", "Folder or .zip with the study.", short="-i"),
    Option("--output", "HOLOSCAN_OUTPUT_PATH", "output", "Folder where dicom/ and report/ appear.", short="-o"),
    Option(
        "--model", "HOLOSCAN_MODEL_PATH", "", "Model package, or a folder with one; default cervical-demo.", short="-m"
    ),
    Option("--log-level", "CSPINE_LOG_LEVEL", "WARN", "Level of the log; DEBUG includes Holoscan.", _LEVELS, "-l"),
    Option("--seg-type", "CSPINE_SEG_TYPE", "binary", "How the segmentation is stored.", SEG_TYPES),
    Option(
        "--outputs", "CSPINE_OUTPUTS", "", f"What to write, as cspine run; default {','.join(DEFAULT_OUTPUTS)}."
    ),
    Option(
        "--surface-format", "CSPINE_SURFACE_FORMAT", ",".join(DEFAULT_FORMATS),
        f"Of surfaces: {', '.join(SURFACE_FORMATS)}.",
    ),
    Option(
        "--fe-format", "CSPINE_FE_FORMAT", ",".join(DEFAULT_FE_FORMATS),
        f"Of finite elements: {', '.join(FE_FORMATS)}.",
    ),
    Option("--levels", "CSPINE_LEVELS", "", "Levels to write, for example C3-T1; default all."),
    Option("--solve-levels", "CSPINE_SOLVE_LEVELS", "1", "Correct levels that do not follow each other.", _SWITCH),
    Option("--fail-on", "CSPINE_FAIL_ON", "", "Findings with which the run fails: serious, or codes; default none."),
    Option("--confidence", "CSPINE_CONFIDENCE", "fast", "Confidence in each vertebra, if calibrated.", CONFIDENCES),
    Option("--series-uid", "CSPINE_SERIES_UID", "", "Choose this series, regardless of the rules."),
    Option("--rules", "CSPINE_RULES", "", "YAML of selection rules; default: those for the model."),
    Option("--repair-gaps", "CSPINE_REPAIR_GAPS", "0", "Read the longest regular part of a series.", _SWITCH),
    Option("--prior", "CSPINE_PRIOR", "", "Output folder of an earlier run: report changes since."),
    Option("--incomplete", "CSPINE_INCOMPLETE", "0", "The transfer was incomplete: report a finding.", _SWITCH),
    Option("--device", "CSPINE_DEVICE", "auto", "auto, cpu, cuda or cuda:N."),
    Option("--engine", "CSPINE_ENGINE", "auto", "Library that runs the network.", ENGINES),
    Option("--roi", "CSPINE_ROI", "auto", "What a cervical model sees of a long scan.", ROIS),
    Option("--precision", "CSPINE_PRECISION", "auto", "Arithmetic of the network.", PRECISIONS),
    Option("--folds", "CSPINE_FOLDS", "", "Folds to average, for example 0,1; default all."),
    Option("--mirror", "CSPINE_MIRROR", "0", "Test-time mirroring: up to 8 x the time.", _SWITCH),
    Option("--step-size", "CSPINE_STEP_SIZE", "0.5", "Distance of tiles, in patches."),
    Option("--overwrite", "CSPINE_OVERWRITE", "0", "Replace results of an earlier run.", _SWITCH),
)  # fmt: skip


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message, advice=_ADVICE)


@dataclass(frozen=True)
class Settings:
    """The values of the options, from the command line, the environment and the defaults, in this order.

    Parameters
    ----------
    values : mapping of str to str
        One for each `Option.name`.
    """

    values: Mapping[str, str]

    def text(self, name: str) -> str:
        """Return a value as it is."""
        return self.values[name]

    def path(self, name: str) -> Path | None:
        """Return a value as a path; None if it is empty."""
        return Path(self.values[name]).absolute() if self.values[name] else None

    @property
    def seg_type(self) -> SegType:
        """How the segmentation is stored."""
        return SegType(self.values["seg_type"])

    @property
    def confidence(self) -> ConfidenceName:
        """How the confidence in each vertebra is found."""
        return cast(ConfidenceName, self.values["confidence"])

    @property
    def precision(self) -> Precision:
        """Arithmetic of the network."""
        return cast(Precision, self.values["precision"])

    @property
    def engine(self) -> EngineName:
        """Library that runs the network."""
        return cast(EngineName, self.values["engine"])

    @property
    def roi(self) -> RoiName:
        """What a cervical model sees of a long scan."""
        return cast(RoiName, self.values["roi"])

    def is_on(self, name: str) -> bool:
        """Return whether a switch is on."""
        return self.values[name] == "1"

    def folds(self) -> tuple[str, ...] | None:
        """Return the folds, None for all; UsageError if one is no number."""
        return parse_folds(self.values["folds"])

    def step_size(self) -> float:
        """Return the distance of tiles; UsageError if it is not a number."""
        try:
            return float(self.values["step_size"])
        except ValueError as error:
            raise UsageError(f"step size {self.values['step_size']!r} is not a number", advice=_ADVICE) from error

    @property
    def input(self) -> Path:
        """The study."""
        return Path(self.values["input"]).absolute()

    @property
    def output(self) -> Path:
        """Where results appear."""
        return Path(self.values["output"]).absolute()

    def sdk_arguments(self) -> list[str]:
        """Return the arguments for the SDK's `init_app_context`, which exits if a path does not exist."""
        # The SDK warns about folders that are not models of its own types; cspine loads its models itself.
        level = self.values["log_level"]
        arguments = ["cspine", "--log-level", "ERROR" if level == "WARN" else level]
        for name in ("input", "model"):
            path = self.path(name)
            arguments += [f"--{name}", str(path)] if path is not None and path.exists() else []
        return arguments


def read_settings(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Read the options.

    Parameters
    ----------
    arguments : sequence of str
        The command line without the program.
    environment : mapping
        The process's environment.

    Raises
    ------
    UsageError
        If an option or a value is unknown.
    """
    parsed = vars(_parser().parse_args(list(arguments)))
    values = {}
    for option in OPTIONS:
        given = parsed[option.name]
        origin, value = (option.flag, given) if given is not None else (option.variable, None)
        if value is None:
            value = environment.get(option.variable, "").strip() or option.default
        if option.choices and value not in option.choices:
            raise UsageError(f"{origin} is {value!r}; it can be {', '.join(option.choices)}", advice=_ADVICE)
        values[option.name] = value
    return Settings(values)


def options_table() -> str:
    """Return the table of the documentation: one Markdown row per option."""
    rows = []
    for option in OPTIONS:
        flags = " ".join(word for word in (option.short, option.flag) if word)
        choices = f" ({', '.join(option.choices)})" if option.choices and not option.is_switch else ""
        rows.append(f"| `{flags}` | `{option.variable}` | {option.default or '-'} | {option.text}{choices} |")
    return "\n".join(["| option | variable | default | meaning |", "|---|---|---|---|", *rows])


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m cspine.app",
        description="Segment the vertebrae of the CT study in INPUT. Research use only; not a medical device.",
        epilog="An option takes precedence over the environment variable in brackets, 1 or 0 for a switch; --no-... "
        "turns a switch off. Exit codes: docs/reference/errors.md.",
        allow_abbrev=False,
    )
    for option in OPTIONS:
        flags = [word for word in (option.short, option.flag) if word]
        text = f"{option.text} [{option.variable}; default: {option.default or 'none'}]"
        if option.is_switch:
            parser.add_argument(option.flag, dest=option.name, action="store_const", const="1", help=text)
            parser.add_argument(
                option.flag.replace("--", "--no-", 1), dest=option.name, action="store_const", const="0",
                help=argparse.SUPPRESS,
            )  # fmt: skip
        else:
            metavar = "|".join(option.choices) or option.name.upper()
            parser.add_argument(*flags, dest=option.name, metavar=metavar, help=text)
    return parser
