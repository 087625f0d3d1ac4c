"""The summary of a run, made of the results of its steps."""

from __future__ import annotations

import hashlib
import platform
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata

import numpy as np

import cspine
from cspine.core.errors import hashed
from cspine.core.volumes import CtVolume
from cspine.dicom.source_facts import read_source_facts
from cspine.pipeline.settings import RunSettings
from cspine.pipeline.steps.results import Results
from cspine.pipeline.steps.selection import ChosenSeries
from cspine.pipeline.stopwatch import Stopwatch
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
    vertebra_summaries,
)

_LIBRARIES = ("torch", "openvino", "nnunetv2", "monai", "numpy", "pydicom", "highdicom", "SimpleITK")


def summary_of(
    results: Results,
    settings: RunSettings,
    stopwatch: Stopwatch,
    written: Sequence[OutputSummary],
    warnings: Sequence[str] = (),
) -> Summary:
    """Return the summary of a run.

    Parameters
    ----------
    results : Results
        Results of the steps, with all findings.
    settings : RunSettings
        Settings of the run.
    stopwatch : Stopwatch
        Seconds of the steps so far.
    written : sequence of OutputSummary
        Files that were written so far.
    warnings : sequence of str
        What users of these files have to know, besides what the segmentation's record says.
    """
    ct, vertebrae, segmentation, measured = results.ct, results.vertebrae, results.segmentation, results.measured
    model = vertebrae.labels.model
    assert model is not None
    return Summary(
        cspine_version=cspine.__version__,
        clock=settings.clock.iso,
        input=input_summary(results.chosen, ct),
        model=model_summary(model),
        settings=settings.as_text(),
        device=str(results.inference.record["device"]),
        vertebrae=vertebra_summaries(
            measured.spine.vertebrae,
            segmentation.segments if segmentation is not None else (),
            segmentation.tracking if segmentation is not None else {},
            vertebrae.confidence,
        ),
        sex=measured.spine.sex or None,
        measurements=measurement_summaries(measured.spine.values),
        levels_not_found=list(measured.not_found),
        prior=hashed(measured.prior.result) if measured.prior is not None else None,
        changes=change_summaries(measured.changes),
        findings=finding_summaries(vertebrae.findings),
        warnings=[*(segmentation.warnings if segmentation is not None else ()), *warnings],
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


def input_summary(chosen: ChosenSeries | None, ct: CtVolume) -> InputSummary:
    """Return what the summary says about the input: hashed UIDs, decisions, grid and repairs.

    Parameters
    ----------
    chosen : ChosenSeries or None
        The series and its study; of an image that does not come from DICOM, the checksum of its pixels identifies it.
    ct : CtVolume
        The image.

    Raises
    ------
    InputError
        If an image in memory comes from DICOM and its first file can no longer be read.
    """
    if chosen is None and ct.source is not None:
        facts = read_source_facts(ct.source)
        return InputSummary(
            study=hashed(facts.study_uid),
            series=hashed(facts.series_uid),
            slices=ct.hu_zyx.shape[0],
            spacing_mm=ct.grid.spacing_xyz,
            repairs=list(ct.notes),
        )
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
        copied_files=skipped.copies,
        damaged_files=len(chosen.scan.damaged),
        damage=dict(sorted(Counter(damaged.reason for damaged in chosen.scan.damaged).items())),
        slices=ct.hu_zyx.shape[0],
        spacing_mm=ct.grid.spacing_xyz,
        repairs=list(ct.notes),
    )


def _versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        with suppress(metadata.PackageNotFoundError):  # an engine may be left out of an installation
            found[name] = metadata.version(name)
    return found
