"""What a user may choose about a run."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from cspine.core.anatomy import Vertebra, as_levels, levels_text
from cspine.core.errors import UsageError
from cspine.core.findings import parse_fail_on
from cspine.dicom.clock import Clock
from cspine.dicom.seg_type import SegType, as_seg_type
from cspine.inference.settings import InferenceSettings
from cspine.pipeline.outputs import parse_outputs
from cspine.surfaces.fe_settings import FeSettings
from cspine.surfaces.settings import SurfaceSettings

#: Values of ``--confidence``.
ConfidenceName = Literal["off", "fast", "full"]
CONFIDENCES: tuple[str, ...] = get_args(ConfidenceName)
#: Types of settings that are not converted.
_KINDS: dict[str, tuple[type, ...]] = {
    "clock": (Clock,),
    "inference": (InferenceSettings,),
    "surfaces": (SurfaceSettings,),
    "elements": (FeSettings,),
    "rules_file": (Path, type(None)),
    "series_uid": (str, type(None)),
    "prior": (Path, type(None)),
    **dict.fromkeys(("repair_gaps", "incomplete", "solve_levels"), (bool,)),
}


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
        Series selection rules; those of cspine for the model's levels if omitted.
    series_uid : str, optional
        The series to choose, regardless of the rules.
    repair_gaps : bool
        Run on the longest regular part of a series with gaps.
    incomplete : bool
        The caller knows that the transfer of the study was incomplete.
    levels : tuple of Vertebra, optional
        The levels to write; all predicted ones if omitted. Names and ranges are converted: ``"C1-T1"``.
    solve_levels : bool
        Renumber vertebrae if this makes their levels consecutive.
    fail_on : tuple of str
        Severities and codes of findings with which no result is written, from `core.findings.parse_fail_on`.
    confidence : str
        ``"fast"``: the confidence in each vertebra follows from the run itself; ``"full"``: also from three more runs
        on altered images; ``"off"``.
    outputs : tuple of str, optional
        What is written, by the names of `pipeline.outputs`; the default for the source if omitted.
    prior : Path, optional
        Output folder or structured report of an earlier run, to compare measurements with; the newest report in the
        study if omitted.
    ran_on : tuple of str, optional
        Engine and precision that the network ran with, once it has run; the outputs state them.
    surfaces : SurfaceSettings
        Formats of the output ``surfaces``.
    elements : FeSettings
        Formats, sizes and gaps of the output ``fe``.

    Raises
    ------
    UsageError
        If a level, an output, a severity or another name is unknown, or a value is of another type.
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
    fail_on: tuple[str, ...] = ()
    confidence: ConfidenceName = "fast"
    outputs: tuple[str, ...] | None = None
    prior: Path | None = None
    ran_on: tuple[str, str] | None = None
    surfaces: SurfaceSettings = field(default_factory=SurfaceSettings)
    elements: FeSettings = field(default_factory=FeSettings)

    def __post_init__(self) -> None:
        if self.levels is not None:
            object.__setattr__(self, "levels", as_levels(self.levels))
        fail_on = parse_fail_on(_joined("fail_on", self.fail_on)) if self.fail_on not in (None, "", ()) else ()
        object.__setattr__(self, "fail_on", fail_on)
        if self.outputs is not None:
            object.__setattr__(self, "outputs", parse_outputs(_joined("outputs", self.outputs)))
        object.__setattr__(self, "seg_type", as_seg_type(self.seg_type))
        if self.confidence not in CONFIDENCES:
            raise UsageError(f"`confidence`: {self.confidence!r} is not one of {', '.join(CONFIDENCES)}")
        for name in ("rules_file", "prior"):
            if isinstance(getattr(self, name), str):
                object.__setattr__(self, name, Path(getattr(self, name)))
        for name, kinds in _KINDS.items():
            if not isinstance(getattr(self, name), kinds):
                raise UsageError(
                    f"`{name}` is a {type(getattr(self, name)).__name__}, not a {kinds[0].__name__}",
                    advice="Give a value of the type that the documentation of `RunSettings` names.",
                )

    def as_text(self) -> dict[str, str]:
        """Return the settings that may change the labels or the DICOM object, as the outputs state them."""
        folds = self.inference.folds
        engine, precision = self.ran_on or (self.inference.engine, self.inference.precision)
        # Defaults of later settings have no entry, because it would change the UIDs of every result.
        rare = {} if self.levels is None else {"levels": levels_text(self.levels)}
        if not self.solve_levels:
            rare["solve_levels"] = "no"
        if self.inference.roi != "auto":
            rare["roi"] = self.inference.roi
        if self.confidence != "fast":
            rare["confidence"] = self.confidence
        if engine != "auto":
            rare["engine"] = engine
        return {
            "seg_type": self.seg_type.value,
            "folds": ",".join(folds) if folds else "all",
            "mirror": "yes" if self.inference.mirror else "no",
            "step_size": f"{self.inference.step_size:g}",
            "precision": precision,
            "repair_gaps": "yes" if self.repair_gaps else "no",
            "incomplete": "yes" if self.incomplete else "no",
            "series": "by UID" if self.series_uid else "by rules",
            "rules": self.rules_file.name if self.rules_file else "default",
            **rare,
        }


def _joined(name: str, wanted: object) -> str:
    """Return names as the command line has them; a text with one or several is returned unchanged."""
    if isinstance(wanted, str):
        return wanted
    if isinstance(wanted, Collection) and all(isinstance(each, str) for each in wanted):
        return ",".join(wanted)
    raise UsageError(f"`{name}` is no sequence of names", advice=f"Give `{name}` names, for example in a tuple.")
