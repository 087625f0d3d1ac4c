"""What a user may choose about a run, and the environment variables by which the application is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cspine.core.anatomy import Vertebra, levels_text, parse_levels
from cspine.core.errors import UsageError
from cspine.dicom.clock import Clock
from cspine.dicom.seg_type import SegType
from cspine.inference.settings import InferenceSettings
from cspine.pipeline.outputs import parse_outputs

#: Environment variable of the application with the levels to write, as `cspine run --levels` takes them.
LEVELS_VARIABLE = "CSPINE_LEVELS"
#: Environment variable of the application: 0 for what `cspine run --no-solve-levels` does.
SOLVE_VARIABLE = "CSPINE_SOLVE_LEVELS"
#: Environment variable of the application with what to write, as `cspine run --outputs` takes it.
OUTPUTS_VARIABLE = "CSPINE_OUTPUTS"
#: Set to 1 by a caller who knows that the sender of the study broke off.
INCOMPLETE_VARIABLE = "CSPINE_INCOMPLETE"


@dataclass(frozen=True)
class RunSettings:
    """What a user may choose about a run.

    Parameters
    ----------
    clock : Clock
        All dates of the results; the present moment, or that of SOURCE_DATE_EPOCH, if omitted.
    inference : InferenceSettings
        Device, folds, mirroring, step size.
    seg_type : SegType
        How the DICOM Segmentation stores its labels.
    rules_file : Path, optional
        Series selection rules; cspine's own where it is left out: those for the model's levels.
    series_uid : str, optional
        The series to take, whatever the rules say.
    repair_gaps : bool
        Run on the longest regular part of a series with gaps.
    incomplete : bool
        The caller knows that the sender of the study broke off.
    levels : tuple of Vertebra, optional
        The levels to write; all that were found where it is left out.
    solve_levels : bool
        Rename vertebrae of a full-spine model where that makes their levels follow each other.
    outputs : tuple of str, optional
        What is written, by the names of `pipeline.outputs`; what is usual for the source if omitted.
    """

    clock: Clock = field(default_factory=Clock.from_environment)
    inference: InferenceSettings = field(default_factory=InferenceSettings)
    seg_type: SegType = SegType.BINARY
    rules_file: Path | None = None
    series_uid: str | None = None
    repair_gaps: bool = False
    incomplete: bool = False
    levels: tuple[Vertebra, ...] | None = None
    solve_levels: bool = True
    outputs: tuple[str, ...] | None = None

    def as_text(self) -> dict[str, str]:
        """Return what may change the labels or the DICOM object, as the outputs state it."""
        folds = self.inference.folds
        # What is all as it always was has no entry of its own: it would change the UIDs of every result.
        rare = {} if self.levels is None else {"levels": levels_text(self.levels)}
        if not self.solve_levels:
            rare["solve_levels"] = "no"
        return {
            "seg_type": self.seg_type.value,
            "folds": ",".join(folds) if folds else "all",
            "mirror": "yes" if self.inference.mirror else "no",
            "step_size": f"{self.inference.step_size:g}",
            "precision": self.inference.precision,
            "repair_gaps": "yes" if self.repair_gaps else "no",
            "incomplete": "yes" if self.incomplete else "no",
            "series": "by UID" if self.series_uid else "by rules",
            "rules": self.rules_file.name if self.rules_file else "default",
            **rare,
        }


def wanted_levels(environment: Mapping[str, str]) -> tuple[Vertebra, ...] | None:
    """Return the levels that `CSPINE_LEVELS` names, or None for all; UsageError if it cannot be understood."""
    text = environment.get(LEVELS_VARIABLE, "").strip()
    return parse_levels(text) if text else None


def wanted_outputs(environment: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return what `CSPINE_OUTPUTS` names, or None for what is usual; UsageError if it cannot be understood."""
    text = environment.get(OUTPUTS_VARIABLE, "").strip()
    return parse_outputs(text) if text else None


def solving_wanted(environment: Mapping[str, str]) -> bool:
    """Return whether `CSPINE_SOLVE_LEVELS` is not 0; UsageError if it is neither 0 nor 1."""
    value = environment.get(SOLVE_VARIABLE, "").strip()
    if value not in ("", "0", "1"):
        raise UsageError(f"{SOLVE_VARIABLE} is neither 0 nor 1", advice="Set it to 0, or leave it out.")
    return value != "0"


def sender_broke_off(environment: Mapping[str, str]) -> bool:
    """Return what the variable CSPINE_INCOMPLETE says: 1 where the sender broke off, 0 or nothing where not.

    Raises
    ------
    UsageError
        If it says something else.
    """
    value = environment.get(INCOMPLETE_VARIABLE, "").strip()
    if value not in ("", "0", "1"):
        raise UsageError(f"{INCOMPLETE_VARIABLE} is neither 0 nor 1", advice="Set it to 1, or leave it out.")
    return value == "1"
