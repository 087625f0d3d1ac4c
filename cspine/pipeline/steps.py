"""The steps of a study as plain functions: `pipeline.study` calls them in order, the operators one by one."""

from __future__ import annotations

import hashlib
import logging
import platform
import weakref
from collections.abc import Collection, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import cspine
from cspine.core.anatomy import CERVICAL_LEVELS, Vertebra
from cspine.core.errors import hashed
from cspine.core.findings import CONTRAST_MEDIUM, FINDINGS_LOG, Finding, Severity, require_none
from cspine.core.progress import ProgressCallback
from cspine.core.volumes import CtVolume
from cspine.dicom.derived import ObjectSettings
from cspine.dicom.patient import patient_sex
from cspine.dicom.read import read_volume
from cspine.dicom.rules import Rules, load_rules
from cspine.dicom.scan import Scan, one_study, scan_folder
from cspine.dicom.select import Selection, SeriesDecision, select_series
from cspine.dicom.series import Series
from cspine.dicom.source_facts import read_source_facts
from cspine.measurements.change import EarlierValues
from cspine.models.package import ModelPackage
from cspine.pipeline import measuring
from cspine.pipeline.completeness import StudyContext, completeness_findings, inspect_study, superseded_results
from cspine.pipeline.measuring import Measured, prior_of_image, prior_result
from cspine.pipeline.outputs import Material, OutputFormat, check_outputs, chosen_outputs
from cspine.pipeline.settings import RunSettings
from cspine.pipeline.stopwatch import Stopwatch
from cspine.pipeline.subset import check_wanted, keep_levels
from cspine.pipeline.written import written_files
from cspine.report.earlier_measurements import find_prior
from cspine.report.measurement_table import write_measurement_table
from cspine.report.summary import (
    InputSummary,
    OutputSummary,
    SeriesSummary,
    Summary,
    SupersededResult,
    change_summaries,
    finding_summaries,
    measurement_summaries,
    model_summary,
    output_summary,
    vertebra_summaries,
    write_summary,
)

if TYPE_CHECKING:
    from cspine.dicom.seg import SegRecord
    from cspine.dicom.sr import SrRecord
    from cspine.inference.predict import Inference
    from cspine.pipeline.segmentation import Vertebrae

_log = logging.getLogger(__name__)
_findings_log = logging.getLogger(FINDINGS_LOG)

_LIBRARIES = ("torch", "openvino", "nnunetv2", "monai", "numpy", "pydicom", "highdicom", "SimpleITK")


@dataclass(frozen=True)
class ChosenSeries:
    """The series to work on, and what else the input held.

    Parameters
    ----------
    scan : Scan
        The study.
    selection : Selection
        The series with the decisions on all.
    context : StudyContext
        Earlier results of the series, and signs that it is incomplete.
    prior : EarlierValues or None
        Measurements of an earlier result: the one that was named, or the newest in the study.
    """

    scan: Scan
    selection: Selection
    context: StudyContext
    prior: EarlierValues | None = None

    @property
    def sex(self) -> str:
        """Sex of the patient, ``"M"`` or ``"F"``; empty if unknown."""
        return patient_sex(self.selection.chosen.instances[0].path)


def read_headers(folder: Path) -> Scan:
    """Scan a folder of files, as `dicom.archive.open_input` gives it; errors as `dicom.scan.scan_folder`."""
    return scan_folder(folder)


def choose_series(scan: Scan, settings: RunSettings, levels: Collection[Vertebra] = CERVICAL_LEVELS) -> ChosenSeries:
    """Choose the series of the one study in a scan that suits a model of these levels, or labels that have them.

    Parameters
    ----------
    scan : Scan
        From `read_headers`.
    settings : RunSettings
        Rules, series, wanted levels, earlier result.
    levels : collection of Vertebra
        Levels of the model or of the labels.

    Raises
    ------
    UsageError
        If none of them is a wanted level.
    PriorResultError
        If the earlier result that is named cannot be compared with.
    SeveralPatientsError, NoSuitableSeriesError, UnknownSeriesError, RulesError
        As in `scan.one_study`, `select.select_series` and `rules.load_rules`.
    """
    check_wanted(settings.levels, levels)
    rules: Rules = load_rules(settings.rules_file, levels)
    study = one_study(scan, settings.series_uid)
    selection = select_series(study, rules, settings.series_uid)
    for decision in selection.decisions:
        _log.info("series %s: %s", hashed(decision.series.series_uid), decision.reason)
    prior = prior_result(settings.prior, study, selection.chosen.patient_key)
    return ChosenSeries(study, selection, inspect_study(study, selection.chosen), prior)


def series_of_caller(scan: Scan, series: Series) -> ChosenSeries:
    """Return a series of a study that the caller has selected, without cspine's rules.

    Parameters
    ----------
    scan : Scan
        One study.
    series : Series
        The series to segment.
    """
    decisions = tuple(
        SeriesDecision(
            each, each is series, each is series, f"{'' if each is series else 'not '}selected by the caller"
        )
        for each in scan.series
    )
    return ChosenSeries(scan, Selection(series, decisions), inspect_study(scan, series), find_prior(scan))


def read_ct(chosen: ChosenSeries, settings: RunSettings) -> CtVolume:
    """Read the chosen series; errors as `dicom.read.read_volume`."""
    return _logged(read_volume(chosen.selection.chosen, repair_gaps=settings.repair_gaps))


def keep_files(ct: CtVolume, opened: ExitStack) -> None:
    """Close an input when nothing refers to the source of a volume any more.

    What a zip archive contains is needed until the last DICOM object is written, and copies of a volume share its
    source.

    Parameters
    ----------
    ct : CtVolume
        A volume read from the input.
    opened : ExitStack
        The input as it was opened.
    """
    assert ct.source is not None
    weakref.finalize(ct.source, opened.close)


def read_image(path: Path, settings: RunSettings, package: ModelPackage) -> CtVolume:
    """Read a NIfTI file; errors as `io.ct_image.read_ct_image`, and of outputs that require DICOM."""
    from cspine.io.ct_image import read_ct_image  # loads nibabel and SimpleITK, which DICOM does not need

    check_wanted(settings.levels, package.levels)
    check_outputs(settings, has_dicom=False)
    prior_result(settings.prior, None, None)
    return _logged(read_ct_image(path))


def check_image(ct: CtVolume, settings: RunSettings, package: ModelPackage) -> CtVolume:
    """Return an image in memory if the wanted levels and the earlier result suit it.

    Raises
    ------
    UsageError
        If the model predicts none of the wanted levels.
    PriorResultError
        If the earlier result that is named cannot be compared with.
    InputError
        If the image comes from DICOM and its first file can no longer be read.
    """
    check_wanted(settings.levels, package.levels)
    prior_of_image(settings.prior, ct)
    return _logged(ct)


def _logged(ct: CtVolume) -> CtVolume:
    spacing = " x ".join(f"{s:.3g}" for s in ct.grid.spacing_xyz)
    _log.info("volume: %d slices of %d x %d, %s mm", *ct.hu_zyx.shape, spacing)
    return ct


def infer(
    ct: CtVolume, package: ModelPackage, settings: RunSettings, progress: ProgressCallback | None = None
) -> Inference:
    """Run the model, and with the full confidence three more times on altered images.

    Parameters
    ----------
    ct : CtVolume
        The image.
    package : ModelPackage
        The model.
    settings : RunSettings
        Network and confidence.
    progress : callable, optional
        As `inference.predict.segment`.

    Raises
    ------
    NotCalibratedError
        If the full confidence is wanted and was not calibrated.
    CSpineError
        As `inference.predict.segment`.
    """
    from cspine.pipeline import segmentation
    from cspine.pipeline.confidence import calibration_for, disagreement_of

    _log.info("model: %s", package.identity.title)
    calibration = calibration_for(package, settings.confidence)
    inference = replace(segmentation.predict(ct, package, settings.inference, progress), calibration=calibration)
    if settings.confidence != "full" or not inference.labels.labels_zyx.any():
        return inference
    labels = segmentation.clean_or_empty(inference, ct).labels
    return replace(inference, disagreement=disagreement_of(ct, labels, package, settings.inference))


def with_engine(settings: RunSettings, inference: Inference) -> RunSettings:
    """Return settings that state the engine and the precision of an inference, for its outputs."""
    engine, precision = inference.record.get("engine"), inference.record.get("precision")
    return settings if engine is None else replace(settings, ran_on=(str(engine), str(precision)))


def clean(inference: Inference, ct: CtVolume, chosen: ChosenSeries | None, settings: RunSettings) -> Vertebrae:
    """Clean the labels, keep the wanted levels, and check the completeness.

    Parameters
    ----------
    inference : Inference
        From `infer`.
    ct : CtVolume
        The image.
    chosen : ChosenSeries or None
        The series and its study; None for an image that does not come from DICOM.
    settings : RunSettings
        Wanted levels, solver, findings with which nothing is written.

    Raises
    ------
    NoVertebraError
        If no vertebra for the model is left.
    FindingError
        If the result has a finding with which none is wanted.
    """
    from cspine.pipeline import segmentation
    from cspine.pipeline.confidence import confidence_findings, confidence_of

    age, has_contrast = _age_and_contrast(ct, chosen)
    cleaned = segmentation.clean(inference, ct, age, solve_levels=settings.solve_levels)
    confidence = confidence_of(inference, cleaned.labels, cleaned.findings)
    findings = (*cleaned.findings, *confidence_findings(confidence))
    cleaned = replace(cleaned, findings=findings, confidence=confidence)
    if settings.levels is not None:
        cleaned = keep_levels(cleaned, settings.levels)
    completeness = (
        completeness_findings(
            chosen.context, ct, cleaned.labels.model, settings.levels, incomplete_transfer=settings.incomplete
        )
        if chosen is not None
        else ()
    )
    findings = (*cleaned.findings, *contrast_findings(has_contrast), *completeness)
    vertebrae = replace(cleaned, labels=cleaned.labels.read_only(), findings=findings)
    _check(vertebrae.findings, settings)
    return vertebrae


def contrast_findings(has_contrast: bool) -> tuple[Finding, ...]:
    """Return a finding if a header states a contrast agent."""
    return (CONTRAST_MEDIUM.about("According to the header contrast medium was given."),) if has_contrast else ()


def _age_and_contrast(ct: CtVolume, chosen: ChosenSeries | None) -> tuple[float | None, bool]:
    """Return the age of the patient in years, if known, and whether a contrast agent is stated."""
    if chosen is not None:
        return chosen.selection.chosen.patient_age_years, chosen.selection.chosen.contrast
    if ct.source is None:
        return None, False
    facts = read_source_facts(ct.source)
    return facts.age_years, facts.contrast


def sex_of_patient(ct: CtVolume, chosen: ChosenSeries | None) -> str:
    """Return the sex of the patient as the headers state it, ``"M"`` or ``"F"``; empty if unknown."""
    if chosen is not None:
        return chosen.sex
    return read_source_facts(ct.source).sex if ct.source is not None else ""


def _check(findings: Sequence[Finding], settings: RunSettings) -> None:
    """Log findings; raise FindingError if none of such a kind is wanted."""
    for finding in findings:
        level = logging.INFO if finding.severity is Severity.INFO else logging.WARNING
        _findings_log.log(level, "finding %s %s: %s", finding.code, finding.level or "-", finding.sentence)
    require_none(findings, settings.fail_on)


def measure(
    vertebrae: Vertebrae,
    ct: CtVolume,
    chosen: ChosenSeries | None,
    settings: RunSettings,
    predicted: Iterable[Vertebra] = (),
) -> Measured:
    """Measure the cleaned labels; what a model predicts and the user wants, but the result lacks, is not found.

    Parameters
    ----------
    vertebrae : Vertebrae
        From `clean`.
    ct : CtVolume
        The image.
    chosen : ChosenSeries or None
        The series and its study; None for an image that does not come from DICOM.
    settings : RunSettings
        Wanted levels, earlier result.
    predicted : iterable of Vertebra
        Levels that the model predicts.

    Raises
    ------
    FindingError
        If the measurements lead to a finding with which none is wanted.
    """
    wanted = [level for level in predicted if settings.levels is None or level in settings.levels]
    prior = _prior(ct, chosen, settings)
    measured = measuring.measure(vertebrae.labels, ct, sex_of_patient(ct, chosen), wanted, prior)
    _check(measured.findings, settings)
    return measured


def write_dicom(
    vertebrae: Vertebrae, ct: CtVolume, chosen: ChosenSeries | None, settings: RunSettings, folder: Path
) -> SegRecord | None:
    """Write the DICOM Segmentation into ``folder/dicom`` if it is wanted; errors as `seg.write_segmentation`.

    With a serious finding its series description begins with CHECK: a viewer shows no summary.
    """
    formats = chosen_outputs(settings.outputs, has_dicom=ct.source is not None)
    wanted = next((output for output in formats if output.name == "seg"), None)
    if wanted is None:
        return None
    from cspine.dicom.seg import SegSettings, write_segmentation

    superseded = (
        superseded_results(chosen.context, ct, vertebrae.labels.model, settings.levels) if chosen is not None else ()
    )
    common = object_settings(vertebrae, settings)
    seg_settings = SegSettings(
        common.clock,
        settings.seg_type,
        common.parameters,
        remark=common.remark,
        supersedes=superseded,
        tracking=_tracking(ct, chosen, settings),
    )
    return write_segmentation(vertebrae.labels, ct, seg_settings, folder / wanted.file)


def remark_of(findings: Iterable[Finding]) -> str:
    """Return how the series description of DICOM objects begins: with CHECK if a finding is serious."""
    return "CHECK" if any(finding.severity is Severity.SERIOUS for finding in findings) else ""


def _prior(ct: CtVolume, chosen: ChosenSeries | None, settings: RunSettings) -> EarlierValues | None:
    """Return the earlier result: that of the study, or the one that a user names for an image without a study."""
    return chosen.prior if chosen is not None else prior_of_image(settings.prior, ct)


def _tracking(ct: CtVolume, chosen: ChosenSeries | None, settings: RunSettings) -> dict[str, str]:
    """Return the tracking UIDs of earlier results: of the segmentations of the series, and of the newest report."""
    earlier_segmentations = chosen.context.earlier if chosen is not None else ()
    segments = {level: uid for earlier in earlier_segmentations for level, uid in earlier.tracking}
    prior = _prior(ct, chosen, settings)
    return segments | dict(prior.tracking if prior is not None else {})


@dataclass(frozen=True)
class MeasuredStudy:
    """What a structured report is about.

    Parameters
    ----------
    measured, vertebrae, ct, chosen, segmentation
        Results of the steps; no segmentation if none was written.
    """

    measured: Measured
    vertebrae: Vertebrae
    ct: CtVolume
    chosen: ChosenSeries | None
    segmentation: SegRecord | None = None


def write_sr(study: MeasuredStudy, settings: RunSettings, folder: Path) -> SrRecord | None:
    """Write the structured report into ``folder/dicom`` if it is wanted; errors as `dicom.sr.write_sr`."""
    formats = chosen_outputs(settings.outputs, has_dicom=study.ct.source is not None)
    wanted = next((output for output in formats if output.name == "sr"), None)
    if wanted is None:
        return None
    from cspine.report.structured_report import ReportContent, report_settings, write_structured_report

    measured, model = study.measured, study.vertebrae.labels.model

    content = ReportContent(
        measured.spine,
        model,
        measured.not_found,
        measured.changes,
        _tracking(study.ct, study.chosen, settings),
        study.vertebrae.confidence,
    )
    sr_settings = report_settings(
        content, settings.clock, tuple(settings.as_text().items()), remark_of(study.vertebrae.findings)
    )
    return write_structured_report(content, study.ct, study.segmentation, sr_settings, folder / wanted.file)


@dataclass(frozen=True)
class Results:
    """Everything that the report contains.

    Parameters
    ----------
    chosen, ct, inference, vertebrae, measured, segmentation, report
        Results of the steps; no series if the image is not DICOM, no segmentation or report if none was written.
    """

    chosen: ChosenSeries | None
    ct: CtVolume
    inference: Inference
    vertebrae: Vertebrae
    measured: Measured
    segmentation: SegRecord | None = None
    report: SrRecord | None = None


def write_report(results: Results, settings: RunSettings, stopwatch: Stopwatch, folder: Path) -> Summary:
    """Write the wanted outputs other than the DICOM Segmentation into ``folder/dicom`` and ``folder/report``.

    Parameters
    ----------
    results : Results
        Results of the steps.
    settings : RunSettings
        Settings of the run.
    stopwatch : Stopwatch
        Seconds of the steps so far.
    folder : Path
        Folder that holds ``dicom/`` and ``report/``.

    Returns
    -------
    Summary
        The summary, as written if it is wanted.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    results = _with_all_findings(results)
    formats = chosen_outputs(settings.outputs, has_dicom=results.ct.source is not None)
    written = [_seg_summary(results.segmentation, folder)] if results.segmentation is not None else []
    if results.report is not None:
        written.append(output_summary(results.report.path, folder, "SR", results.report.sop_instance_uid))
    for output in formats:
        if output.write is None:
            continue
        with stopwatch.step(output.name):
            so_far = _summary(results, settings, stopwatch, written)
            uid = output.write(_material(results, settings, so_far), folder / output.file)
        written += _files_of(output, uid, folder)
    summarized = next((output for output in formats if output.name == "summary"), None)
    if summarized is not None:
        table = folder / summarized.beside[0]
        write_measurement_table(results.measured.spine.values, results.measured.changes, table)
        written.append(output_summary(table, folder, "Measurements"))
    summary = _summary(results, settings, stopwatch, written)
    if summarized is not None:
        write_summary(summary, folder / summarized.file)
    return summary


def material(results: Results, settings: RunSettings) -> Material:
    """Return what a single output is made of, when nothing else is written."""
    results = _with_all_findings(results)
    return _material(results, settings, _summary(results, settings, Stopwatch(), ()))


def _with_all_findings(results: Results) -> Results:
    """Return results whose vertebrae have the findings of their measurements too."""
    findings = (*results.vertebrae.findings, *results.measured.findings)
    return replace(results, vertebrae=replace(results.vertebrae, findings=findings))


def _material(results: Results, settings: RunSettings, summary: Summary) -> Material:
    common = object_settings(results.vertebrae, settings)
    return Material(results.ct, results.vertebrae, common, summary, settings, results.segmentation)


def object_settings(vertebrae: Vertebrae, settings: RunSettings) -> ObjectSettings:
    """Return what all DICOM objects of a run have in common; a serious finding stands in their descriptions."""
    return ObjectSettings(settings.clock, tuple(settings.as_text().items()), remark_of(vertebrae.findings))


def _files_of(output: OutputFormat, uid: str | None, folder: Path) -> list[OutputSummary]:
    """Return the rows of what an output wrote: of a DICOM object with its UID, of a folder with all its files."""
    if uid is not None:
        return [output_summary(folder / output.file, folder, output.title, uid)]
    written = [folder / file for file in output.files if (folder / file).exists()]
    return [row for path in written for row in written_files(path, folder, output.title)]


def _seg_summary(record: SegRecord, folder: Path) -> OutputSummary:
    return output_summary(record.path, folder, f"SEG {record.seg_type.value.upper()}", record.sop_instance_uid)


def _summary(
    results: Results,
    settings: RunSettings,
    stopwatch: Stopwatch,
    written: Sequence[OutputSummary],
) -> Summary:
    ct, vertebrae, segmentation, measured = results.ct, results.vertebrae, results.segmentation, results.measured
    model = vertebrae.labels.model
    assert model is not None
    return Summary(
        cspine_version=cspine.__version__,
        clock=settings.clock.iso,
        input=_input_summary(results.chosen, ct),
        model=model_summary(model),
        settings=settings.as_text(),
        device=str(results.inference.record["device"]),
        vertebrae=vertebra_summaries(
            measured.spine.vertebrae,
            segmentation.segments if segmentation is not None else (),
            segmentation.tracking if segmentation is not None else {},
            vertebrae.confidence,
        ),
        measurements=measurement_summaries(measured.spine.values),
        levels_not_found=list(measured.not_found),
        changes=change_summaries(measured.changes),
        findings=finding_summaries(vertebrae.findings),
        warnings=[*segmentation.warnings] if segmentation is not None else [],
        outputs=[*written],
        supersedes=[
            SupersededResult(
                sop_instance_uid=earlier.sop_instance_uid,
                series_instance_uid=earlier.series_uid,
                slices=len(earlier.sources),
            )
            for earlier in (segmentation.supersedes if segmentation is not None else ())
        ],
        timings_s=dict(stopwatch.seconds),
        versions={"python": platform.python_version()} | _versions(),
    )


def _versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        with suppress(metadata.PackageNotFoundError):  # an engine may be left out of an installation
            found[name] = metadata.version(name)
    return found


def _input_summary(chosen: ChosenSeries | None, ct: CtVolume) -> InputSummary:
    if chosen is None:
        return InputSummary(
            image=hashlib.sha256(np.ascontiguousarray(ct.hu_zyx).data).hexdigest(),
            slices=ct.hu_zyx.shape[0],
            spacing_mm=ct.grid.spacing_xyz,
            repairs=list(ct.notes),
        )
    series, skipped = chosen.selection.chosen, chosen.scan.skipped
    return InputSummary(
        study=hashed(series.study_uid),
        series=hashed(series.series_uid),
        decisions=[
            SeriesSummary(
                series=hashed(decision.series.series_uid),
                chosen=decision.chosen,
                modality=decision.series.modality,
                instances=len(decision.series.instances),
                reasons=[decision.reason],
            )
            for decision in chosen.selection.decisions
        ],
        skipped_files=skipped.not_dicom + skipped.sidecars + skipped.directories,
        damaged_files=len(chosen.scan.damaged),
        slices=ct.hu_zyx.shape[0],
        spacing_mm=ct.grid.spacing_xyz,
        repairs=list(ct.notes),
    )
