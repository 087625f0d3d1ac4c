"""The schema of summary.json, and the function that writes it.

It contains plain values only, without names and dates of birth; UIDs of sources are hashed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field

from cspine.core.findings import Finding
from cspine.core.volumes import ModelIdentity
from cspine.io.files import write_atomic
from cspine.measurements.change import Change
from cspine.measurements.confidence import Confidence

if TYPE_CHECKING:
    from cspine.measurements.spine import MeasuredValue
    from cspine.measurements.vertebra import VertebraMeasurement

#: Incremented with every change that readers of the older schema may misread.
SCHEMA_VERSION = 1

Triple = tuple[float, float, float]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Hashed = Annotated[str, Field(pattern="^[0-9a-f]{12}$")]


_SEX = "Sex whose published values are compared with first, M or F; null if only values of both sexes are."
_PRIOR = "SOP Instance UID of the report of the earlier result that changes are since, hashed; null without one."


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SeriesSummary(_Row):
    """The decision on one series of the input."""

    series: Hashed = Field(description="Series Instance UID, hashed.")
    chosen: bool = Field(description="True for the series that was segmented.")
    modality: str = Field(description="Modality.")
    instances: int = Field(description="Number of instances.")
    reasons: list[str] = Field(description="Why it was chosen, or every reason why it was not.")


class InputSummary(_Row):
    """The input of the run."""

    study: Hashed | None = Field(default=None, description="Study Instance UID, hashed; null if it is not DICOM.")
    series: Hashed | None = Field(
        default=None, description="Series Instance UID of the series that was segmented, hashed; null if not DICOM."
    )
    image: Sha256 | None = Field(default=None, description="SHA-256 of the voxels of an image that is not DICOM.")
    decisions: list[SeriesSummary] = Field(
        default_factory=list, description="The decision on every series of the study."
    )
    skipped_files: int = Field(default=0, description="Number of files that are not DICOM images.")
    copied_files: int = Field(default=0, description="Number of files that are copies of another one.")
    damaged_files: int = Field(default=0, description="Number of damaged files, of any series of the input.")
    damage: dict[str, int] = Field(default_factory=dict, description="Number of damaged files by what is wrong.")
    slices: int = Field(description="Number of slices of the volume.")
    spacing_mm: Triple = Field(description="Distance between columns, rows and slices.")
    repairs: list[str] = Field(default_factory=list, description="Repairs that were made while reading, as sentences.")


class LabelsSummary(_Row):
    """Labels that were measured."""

    segmentation: Hashed | None = Field(
        description="SOP Instance UID of their DICOM Segmentation, hashed; null for another file."
    )
    voxels: Sha256 = Field(description="SHA-256 of their voxels on the grid of the image.")


class ModelSummary(_Row):
    """The model package that predicted the labels."""

    name: str = Field(description="Name.")
    version: str = Field(description="Version.")
    checksum: str = Field(
        description="SHA-256 over the files of the package; empty where a segmentation names the model."
    )
    demonstration: bool = Field(
        description="True for a model that is marked DEMONSTRATION: do not use it for patients."
    )


class VertebraSummary(_Row):
    """The measurements of one vertebra."""

    level: str = Field(description="Level, for example C3.")
    label: int = Field(description="Number of the level (VerSe).")
    segment: int | None = Field(default=None, description="Segment Number in the DICOM Segmentation.")
    volume_ml: float = Field(description="Volume; if touches_edge is true, of the part in view.")
    mean_hu: float = Field(description="Mean density, Hounsfield units.")
    std_hu: float = Field(description="Standard deviation of the density.")
    centroid_lps_mm: Triple = Field(
        description="Centre of mass in DICOM patient coordinates (left, posterior, superior)."
    )
    extent_mm: Triple = Field(description="Extent from right to left, front to back, foot to head.")
    touches_edge: bool = Field(description="True if the vertebra is truncated by the edge of the scan.")
    level_probability: float | None = Field(
        default=None, description="Probability that the level is right; null if the model is not calibrated."
    )
    expected_dice: float | None = Field(
        default=None, description="Dice coefficient to expect against a reference; null if the model is not calibrated."
    )
    tracking_uid: str | None = Field(
        default=None, description="Tracking UID of its segment: the same for the same vertebra in a later result."
    )


class MeasurementSummary(_Row):
    """The value of a quantity; measurements.md defines each."""

    site: str = Field(description="Level, pair such as C3/C4, or column.")
    name: str = Field(description="Name of the quantity, with its unit.")
    value: float = Field(description="Value.")
    unit: str = Field(description="Unit (UCUM).")
    uncertainty: float | None = Field(description="Standard uncertainty; null where it was not tested.")
    z_score: float | None = Field(default=None, description="Standard deviations above the published mean.")
    published_low: float | None = Field(default=None, description="Lower end of the published range.")
    published_high: float | None = Field(default=None, description="Upper end of the published range.")
    published: str | None = Field(default=None, description="Source of the published values, number and method.")


class ChangeSummary(_Row):
    """The change of a quantity since an earlier result of other images."""

    level: str = Field(description="Level.")
    name: str = Field(description="Name of the quantity, with its unit.")
    before: float = Field(description="Value in the earlier result.")
    now: float = Field(description="Value in this result.")
    difference: float = Field(description="Value now minus value before.")
    uncertainty: float | None = Field(description="Standard uncertainty of the difference.")
    exceeds_uncertainty: bool = Field(description="True if the difference is at least twice its uncertainty.")


class FindingSummary(_Row):
    """A statement about the quality of the result; findings.md lists the codes."""

    code: str = Field(description="Code, stable over releases.")
    level: str | None = Field(description="Level that it concerns; null for the result as a whole.")
    severity: str = Field(description="info, warning or serious.")
    sentence: str = Field(description="What was observed.")


class OutputSummary(_Row):
    """A file that was written, other than the summary itself."""

    file: str = Field(description="Path within the output folder.")
    kind: str = Field(description="For example SEG BINARY, Labels or Picture.")
    sop_instance_uid: str | None = Field(default=None, description="UID of a DICOM object; null for another file.")
    sha256: Sha256 = Field(description="Checksum of the file.")
    bytes: int = Field(description="Size of the file.")


class SupersededResult(_Row):
    """An earlier segmentation by cspine, based on only part of the slices, that this run supersedes."""

    sop_instance_uid: str = Field(description="SOP Instance UID of the earlier object.")
    series_instance_uid: str = Field(description="Series Instance UID of the earlier object.")
    slices: int = Field(description="Number of instances of the source series that it is based on.")


class Summary(_Row):
    """The summary of a run on one study."""

    schema_version: int = Field(default=SCHEMA_VERSION, description="Version of this schema.")
    cspine_version: str = Field(description="Version of cspine.")
    notice: str = Field(default="Research use only; not a medical device.", description="Constant notice.")
    clock: str = Field(description="Date and time of the run, ISO 8601.")
    input: InputSummary = Field(description="Input of the run.")
    model: ModelSummary = Field(description="Model that predicted the labels.")
    settings: dict[str, str] = Field(
        description="Settings that may change the labels or the DICOM objects; `outputs` shows what was written."
    )
    device: str = Field(description="Device that ran the network, for example cpu.")
    vertebrae: list[VertebraSummary] = Field(description="Vertebrae from head to foot.")
    sex: str | None = Field(default=None, description=_SEX)
    measurements: list[MeasurementSummary] = Field(
        default_factory=list, description="Values of complete vertebrae, of neighbours and of the column."
    )
    levels_not_found: list[str] = Field(
        default_factory=list, description="Levels that the model predicts and that were not found."
    )
    prior: Hashed | None = Field(default=None, description=_PRIOR)
    changes: list[ChangeSummary] = Field(
        default_factory=list, description="Changes since an earlier result; empty without one."
    )
    findings: list[FindingSummary] = Field(description="Statements about the quality of the result.")
    warnings: list[str] = Field(description="Warnings for users of the files, for example about viewers.")
    outputs: list[OutputSummary] = Field(description="Files that were written; DICOM objects come first.")
    supersedes: list[SupersededResult] = Field(
        default_factory=list, description="Earlier results that this run supersedes; usually empty."
    )
    timings_s: dict[str, float] = Field(description="Seconds that each step took.")
    versions: dict[str, str] = Field(description="Versions of Python and of the libraries.")

    @property
    def model_title(self) -> str:
        """Name and version of the model, with the mark of a demonstration model."""
        return ModelIdentity(**self.model.model_dump()).title


class MeasuredLabelsSummary(_Row):
    """The content of `report/measurements.json`, which `cspine measure` writes: measurements of existing labels."""

    schema_version: int = Field(default=SCHEMA_VERSION, description="Version of this schema.")
    cspine_version: str = Field(description="Version of cspine.")
    notice: str = Field(default="Research use only; not a medical device.", description="Constant notice.")
    clock: str = Field(description="Date and time of the measurement, ISO 8601.")
    labels: LabelsSummary | None = Field(default=None, description="The labels.")
    input: InputSummary | None = Field(default=None, description="The image.")
    model: ModelSummary | None = Field(
        default=None,
        description="Model that predicted the labels, as their segmentation names it; null if it names none.",
    )
    sex: str | None = Field(default=None, description=_SEX)
    vertebrae: list[VertebraSummary] = Field(description="Vertebrae from head to foot.")
    measurements: list[MeasurementSummary] = Field(
        description="Values of complete vertebrae, of neighbours and of the column."
    )
    levels_not_found: list[str] = Field(
        description="Levels of C1..T1 that have no label; with labels below T1, levels above the lowest one."
    )
    prior: Hashed | None = Field(default=None, description=_PRIOR)
    changes: list[ChangeSummary] = Field(description="Changes since an earlier result; empty without one.")
    findings: list[FindingSummary] = Field(description="Statements about labels, image and shape of vertebrae.")


def model_summary(model: ModelIdentity) -> ModelSummary:
    """Return the summary of a model."""
    return ModelSummary(
        name=model.name, version=model.version, checksum=model.checksum, demonstration=model.demonstration
    )


def vertebra_summaries(
    measurements: Sequence[VertebraMeasurement],
    segments: Sequence[tuple[int, str]] = (),
    tracking: Mapping[str, str] | None = None,
    confidence: Mapping[str, Confidence] | None = None,
) -> list[VertebraSummary]:
    """Return the rows of the vertebrae, with rounded values.

    Parameters
    ----------
    measurements : sequence of VertebraMeasurement
        Measurements from head to foot.
    segments : sequence of (int, str)
        Segment numbers with their levels, from the record of the DICOM Segmentation.
    tracking : mapping of str to str, optional
        Tracking UID by level.
    confidence : mapping of str to Confidence, optional
        Confidence by level.
    """
    known = confidence or {}
    numbers = {level: number for number, level in segments}
    return [
        VertebraSummary(
            level=m.level,
            label=m.label,
            segment=numbers.get(m.level),
            volume_ml=round(m.volume_ml, 3),
            mean_hu=round(m.mean_hu, 1),
            std_hu=round(m.std_hu, 1),
            centroid_lps_mm=_rounded(m.centroid_lps_mm),
            extent_mm=_rounded(m.extent_mm),
            touches_edge=m.touches_edge,
            level_probability=known[m.level].level_probability if m.level in known else None,
            expected_dice=known[m.level].expected_dice if m.level in known else None,
            tracking_uid=(tracking or {}).get(m.level),
        )
        for m in measurements
    ]


def measurement_summaries(values: Sequence[MeasuredValue]) -> list[MeasurementSummary]:
    """Return the rows of the measured values.

    Parameters
    ----------
    values : sequence of MeasuredValue
        Values of `SpineMeasurements`, in the order of tables.
    """
    return [_measurement(value) for value in values]


def _measurement(measured: MeasuredValue) -> MeasurementSummary:
    published = measured.published
    low, high = published.range if published is not None else (None, None)
    return MeasurementSummary(
        site=measured.site,
        name=measured.quantity.name,
        value=measured.value,
        unit=measured.quantity.unit,
        uncertainty=measured.uncertainty,
        z_score=measured.z_score,
        published_low=None if low is None else round(low, 4),
        published_high=None if high is None else round(high, 4),
        published=published.citation if published is not None else None,
    )


def change_summaries(changes: Sequence[Change]) -> list[ChangeSummary]:
    """Return the rows of the changes.

    Parameters
    ----------
    changes : sequence of Change
        Changes since an earlier result.
    """
    return [
        ChangeSummary(
            level=change.site,
            name=change.quantity.name,
            before=change.before,
            now=change.now,
            difference=change.difference,
            uncertainty=change.uncertainty,
            exceeds_uncertainty=change.exceeds_uncertainty,
        )
        for change in changes
    ]


def _rounded(values: Triple) -> Triple:
    return round(values[0], 2), round(values[1], 2), round(values[2], 2)


def finding_summaries(findings: Sequence[Finding]) -> list[FindingSummary]:
    """Return the rows of the findings.

    Parameters
    ----------
    findings : sequence of Finding
        Findings of the result.
    """
    return [
        FindingSummary(code=f.code, level=f.level, severity=f.severity.value, sentence=f.sentence) for f in findings
    ]


def output_summary(path: Path, folder: Path, kind: str, sop_instance_uid: str | None = None) -> OutputSummary:
    """Return the row of a file that was written.

    Parameters
    ----------
    path, folder : Path
        The file and the output folder that contains it.
    kind : str
        For example ``"SEG BINARY"``.
    sop_instance_uid : str, optional
        UID of a DICOM object.
    """
    data = path.read_bytes()
    return OutputSummary(
        file=path.relative_to(folder).as_posix(),
        kind=kind,
        sop_instance_uid=sop_instance_uid,
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
    )


def write_summary(summary: Summary | MeasuredLabelsSummary, path: Path) -> None:
    """Write summary.json, or measurements.json.

    Parameters
    ----------
    summary : Summary or MeasuredLabelsSummary
        What the file contains.
    path : Path
        File to write.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    text = summary.model_dump_json(indent=2) + "\n"
    write_atomic(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def schema_tables() -> str:
    """Return the tables of docs/reference/summary.md, one for each model, with one Markdown row for each field."""
    models: tuple[type[_Row], ...] = (
        Summary,
        InputSummary,
        SeriesSummary,
        LabelsSummary,
        ModelSummary,
        VertebraSummary,
        MeasurementSummary,
        ChangeSummary,
        FindingSummary,
        OutputSummary,
        SupersededResult,
        MeasuredLabelsSummary,
    )
    return "\n\n".join(_table(model) for model in models)


def _table(model: type[_Row]) -> str:
    rows = [
        f"| `{name}` | {_type_name(field.annotation)} | {field.description} |"
        for name, field in model.model_fields.items()
    ]
    head = [f"## {model.__name__}", "", str(model.__doc__), "", "| field | type | meaning |", "|---|---|---|"]
    return "\n".join([*head, *rows])


def _type_name(annotation: object) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_name(arguments[0])
    if isinstance(annotation, type) and origin is None:
        return "null" if annotation is type(None) else annotation.__name__
    if origin in (list, tuple, dict):
        inside = ", ".join(_type_name(argument) for argument in arguments)
        return f"{getattr(origin, '__name__', '')} of {inside}"
    return " or ".join(_type_name(argument) for argument in arguments)
