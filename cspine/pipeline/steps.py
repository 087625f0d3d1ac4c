"""The steps of a study as plain functions: `pipeline.study` calls them in order, the operators one by one."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

import cspine
from cspine.core.anatomy import CERVICAL_LEVELS, is_full_spine
from cspine.core.errors import hashed
from cspine.core.findings import Severity
from cspine.core.volumes import CtVolume
from cspine.dicom.read import read_volume
from cspine.dicom.rules import Rules, load_rules
from cspine.dicom.scan import Scan, one_study, scan_folder
from cspine.dicom.seg import SegRecord, SegSettings, write_segmentation
from cspine.dicom.select import Selection, Verdict, select_series
from cspine.dicom.series import Series
from cspine.inference.predict import Inference
from cspine.io.output import PREVIEW, SEGMENTATION, SUMMARY
from cspine.measurements.vertebra import measure_vertebrae
from cspine.models.package import ModelPackage
from cspine.pipeline import segmentation
from cspine.pipeline.completeness import Surroundings, look_around, superseded_results, wholeness_findings
from cspine.pipeline.segmentation import Vertebrae
from cspine.pipeline.settings import RunSettings
from cspine.pipeline.stopwatch import Stopwatch
from cspine.pipeline.subset import check_wanted, keep_levels
from cspine.report.preview import render_preview
from cspine.report.summary import (
    InputSummary,
    SeriesVerdict,
    Summary,
    SupersededResult,
    finding_summaries,
    model_summary,
    output_summary,
    vertebra_summaries,
    write_summary,
)

_log = logging.getLogger(__name__)

_LIBRARIES = ("torch", "nnunetv2", "monai", "numpy", "pydicom", "highdicom", "SimpleITK")

ProgressCallback = Callable[[int, int], None]


@dataclass(frozen=True)
class ChosenSeries:
    """The series to work on, and what else the input held.

    Parameters
    ----------
    scan : Scan
        The study.
    selection : Selection
        The series with the verdicts on all.
    surroundings : Surroundings
        Earlier results of the series, and signs that it is not whole.
    """

    scan: Scan
    selection: Selection
    surroundings: Surroundings


def read_headers(folder: Path) -> Scan:
    """Scan a folder of files, as `dicom.archive.opened` gives it; errors as `dicom.scan.scan_folder`."""
    return scan_folder(folder)


def choose_series(scan: Scan, settings: RunSettings, package: ModelPackage | None = None) -> ChosenSeries:
    """Choose the series of the one study in a scan that suits a model; a cervical one where none is named.

    Raises
    ------
    UsageError
        If the model draws none of the levels that are wanted.
    SeveralPatientsError, NoSuitableSeriesError, UnknownSeriesError, RulesError
        As `scan.one_study`, `select.select_series` and `rules.load_rules` tell.
    """
    drawn = package.levels if package is not None else CERVICAL_LEVELS
    check_wanted(settings.levels, drawn)
    rules: Rules = load_rules(settings.rules_file, full_spine=is_full_spine(drawn))
    study = one_study(scan, settings.series_uid)
    selection = select_series(study, rules, settings.series_uid)
    for verdict in selection.verdicts:
        _log.info("series %s: %s", hashed(verdict.series.series_uid), verdict.reason)
    return ChosenSeries(study, selection, look_around(study, selection.chosen))


def take_series(scan: Scan, series: Series) -> ChosenSeries:
    """Return a series of a study that the caller has selected, without the judgement of cspine's rules.

    Parameters
    ----------
    scan : Scan
        One study.
    series : Series
        The series of it to work on.
    """
    verdicts = tuple(
        Verdict(each, each is series, each is series, f"{'' if each is series else 'not '}selected by the caller")
        for each in scan.series
    )
    return ChosenSeries(scan, Selection(series, verdicts), look_around(scan, series))


def read_ct(chosen: ChosenSeries, settings: RunSettings) -> CtVolume:
    """Read the chosen series; errors as `dicom.read.read_volume`."""
    ct = read_volume(chosen.selection.chosen, repair_gaps=settings.repair_gaps)
    spacing = " x ".join(f"{s:.3g}" for s in ct.grid.spacing_xyz)
    _log.info("volume: %d slices of %d x %d, %s mm", *ct.hu_zyx.shape, spacing)
    return ct


def infer(
    ct: CtVolume, package: ModelPackage, settings: RunSettings, progress: ProgressCallback | None = None
) -> Inference:
    """Run the model; errors as `inference.predict.segment`."""
    _log.info("model: %s", package.identity.title)
    return segmentation.draw(ct, package, settings.inference, progress)


def clean(inference: Inference, ct: CtVolume, chosen: ChosenSeries | None, settings: RunSettings) -> Vertebrae:
    """Clean the labels, keep the levels wanted, and state whether the series is whole; NoVertebraError if none is."""
    age = chosen.selection.chosen.patient_age_years if chosen is not None else None
    cleaned = segmentation.clean(inference, ct, age, solve_levels=settings.solve_levels)
    if settings.levels is not None:
        cleaned = keep_levels(cleaned, settings.levels)
    whole = (
        wholeness_findings(
            chosen.surroundings, ct, cleaned.labels.model, settings.levels, sender_broke_off=settings.incomplete
        )
        if chosen is not None
        else ()
    )
    vertebrae = replace(cleaned, findings=(*cleaned.findings, *whole))
    for finding in vertebrae.findings:
        level = logging.INFO if finding.severity is Severity.INFO else logging.WARNING
        _log.log(level, "finding %s %s: %s", finding.code, finding.level or "-", finding.sentence)
    return vertebrae


def write_dicom(
    vertebrae: Vertebrae, ct: CtVolume, chosen: ChosenSeries, settings: RunSettings, folder: Path
) -> SegRecord:
    """Write the DICOM Segmentation into ``folder/dicom``; errors as `dicom.seg.write_segmentation`.

    With a serious finding its series description begins with CHECK: a viewer shows no summary.
    """
    serious = any(finding.severity is Severity.SERIOUS for finding in vertebrae.findings)
    seg_settings = SegSettings(
        settings.clock,
        settings.seg_type,
        tuple(settings.as_text().items()),
        remark="CHECK" if serious else "",
        supersedes=superseded_results(chosen.surroundings, ct, vertebrae.labels.model, settings.levels),
    )
    return write_segmentation(vertebrae.labels, ct, seg_settings, folder / "dicom" / SEGMENTATION)


@dataclass(frozen=True)
class Results:
    """All that the report tells of.

    Parameters
    ----------
    chosen, ct, inference, vertebrae, segmentation
        What the steps gave.
    """

    chosen: ChosenSeries
    ct: CtVolume
    inference: Inference
    vertebrae: Vertebrae
    segmentation: SegRecord


def write_report(results: Results, settings: RunSettings, stopwatch: Stopwatch, folder: Path) -> Summary:
    """Write preview.png and summary.json into ``folder/report``.

    Parameters
    ----------
    results : Results
        What the steps gave.
    settings : RunSettings
        Settings of the run.
    stopwatch : Stopwatch
        Seconds of the steps so far.
    folder : Path
        Folder that holds ``dicom/`` and ``report/``.

    Returns
    -------
    Summary
        As it was written.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    ct, vertebrae, written = results.ct, results.vertebrae, results.segmentation
    model = vertebrae.labels.model
    assert model is not None
    with stopwatch.step("preview"):
        preview = folder / "report" / PREVIEW
        render_preview(ct, vertebrae.labels, model.title, vertebrae.findings, preview)
    with stopwatch.step("measure"):
        measured = measure_vertebrae(vertebrae.labels, ct)
    summary = Summary(
        cspine_version=cspine.__version__,
        clock=settings.clock.iso,
        input=_input_summary(results.chosen, ct),
        model=model_summary(model),
        settings=settings.as_text(),
        device=str(results.inference.record["device"]),
        vertebrae=vertebra_summaries(measured, written.segments),
        findings=finding_summaries(vertebrae.findings),
        warnings=[*written.warnings],
        outputs=[
            output_summary(written.path, folder, f"SEG {written.seg_type.value.upper()}", written.sop_instance_uid)
        ],
        supersedes=[
            SupersededResult(
                sop_instance_uid=earlier.sop_instance_uid,
                series_instance_uid=earlier.series_uid,
                slices=len(earlier.sources),
            )
            for earlier in superseded_results(results.chosen.surroundings, ct, model, settings.levels)
        ],
        timings_s=dict(stopwatch.seconds),
        versions={"python": platform.python_version()} | {name: metadata.version(name) for name in _LIBRARIES},
    )
    write_summary(summary, folder / "report" / SUMMARY)
    return summary


def _input_summary(chosen: ChosenSeries, ct: CtVolume) -> InputSummary:
    series, skipped = chosen.selection.chosen, chosen.scan.skipped
    return InputSummary(
        study=hashed(series.study_uid),
        series=hashed(series.series_uid),
        verdicts=[
            SeriesVerdict(
                series=hashed(verdict.series.series_uid),
                chosen=verdict.chosen,
                modality=verdict.series.modality,
                instances=len(verdict.series.instances),
                reasons=[verdict.reason],
            )
            for verdict in chosen.selection.verdicts
        ],
        skipped_files=skipped.not_dicom + skipped.sidecars + skipped.directories,
        slices=ct.hu_zyx.shape[0],
        spacing_mm=ct.grid.spacing_xyz,
        repairs=list(ct.notes),
    )
