"""The way of one study, from its headers to its results: each step in order, timed.

`cspine.segment`, `cspine run`, the service and cohorts all go this way; the application calls the same steps.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cspine.core.progress import ProgressCallback
from cspine.core.volumes import CtVolume
from cspine.dicom.scan import Scan
from cspine.io.output import StudyOutput
from cspine.models.package import ModelPackage
from cspine.pipeline import steps
from cspine.pipeline.settings import RunSettings
from cspine.pipeline.steps import ChosenSeries, Results
from cspine.pipeline.stopwatch import Stopwatch
from cspine.report.summary import Summary

if TYPE_CHECKING:
    from cspine.inference.predict import Inference
    from cspine.pipeline.segmentation import Vertebrae


@dataclass(frozen=True)
class SegmentedStudy:
    """An image with its vertebrae, before anything is written.

    Parameters
    ----------
    chosen : ChosenSeries or None
        The series and the context of its study; None if the image does not come from a DICOM study.
    ct : CtVolume
        The image.
    inference : Inference
        What the network predicted.
    vertebrae : Vertebrae
        The cleaned labels with their findings.
    watch : Stopwatch
        Seconds of the steps so far.
    """

    chosen: ChosenSeries | None
    ct: CtVolume
    inference: Inference
    vertebrae: Vertebrae
    watch: Stopwatch


def segment_study(
    scan: Scan, package: ModelPackage, settings: RunSettings, progress: ProgressCallback | None = None
) -> SegmentedStudy:
    """Segment the vertebrae of a DICOM study.

    Parameters
    ----------
    scan : Scan
        Headers of the input, as `read_headers` gives them or one of its studies.
    package : ModelPackage
        The model.
    settings : RunSettings
        Settings of the run.
    progress : callable, optional
        Gets the tiles done and all tiles.

    Raises
    ------
    CSpineError
        Whatever goes wrong.
    """
    watch = Stopwatch()
    with watch.step("select"):
        chosen = steps.choose_series(scan, settings, package.levels)
    return _segment(chosen, lambda: steps.read_ct(chosen, settings), package, settings, watch, progress)


def segment_image(
    read: Callable[[], CtVolume],
    package: ModelPackage,
    settings: RunSettings,
    progress: ProgressCallback | None = None,
) -> SegmentedStudy:
    """Segment the vertebrae of an image that was not found in a DICOM study; parameters as `segment_study`.

    Parameters
    ----------
    read : callable
        Gives the image.
    package, settings, progress
        As in `segment_study`.
    """
    return _segment(None, read, package, settings, Stopwatch(), progress)


def _segment(
    chosen: ChosenSeries | None,
    read: Callable[[], CtVolume],
    package: ModelPackage,
    settings: RunSettings,
    watch: Stopwatch,
    progress: ProgressCallback | None,
) -> SegmentedStudy:
    with watch.step("check"):
        steps.require_runnable(chosen, package, settings)
    with watch.step("read"):
        ct = read()
    with watch.step("infer"):
        inference = steps.infer(ct, package, settings, progress)
    with watch.step("postprocess"):
        vertebrae = steps.clean(inference, ct, chosen, settings)
    return SegmentedStudy(chosen, ct, inference, vertebrae, watch)


def write_results(study: SegmentedStudy, settings: RunSettings, output: StudyOutput) -> Summary:
    """Write the outputs of the settings into an open output folder, where they appear at the end.

    Parameters
    ----------
    study : SegmentedStudy
        From `segment_study` or `segment_image`.
    settings : RunSettings
        Settings of the run.
    output : StudyOutput
        Open output folder.

    Returns
    -------
    Summary
        The summary, also if it is not among the outputs.

    Raises
    ------
    CSpineError
        Whatever goes wrong; no results are left behind.
    """
    settings = steps.with_engine(settings, study.inference)
    watch, folder = Stopwatch(dict(study.watch.seconds)), output.staging
    vertebrae, ct, chosen = study.vertebrae, study.ct, study.chosen
    with watch.step("measure"):
        measured = steps.measure(vertebrae, ct, chosen, settings, study.inference.levels)
    with watch.step("write DICOM") if ct.source is not None else nullcontext():
        written = steps.write_dicom(vertebrae, ct, chosen, settings, folder)
    with watch.step("write SR") if ct.source is not None else nullcontext():
        report = steps.write_sr(steps.MeasuredStudy(measured, vertebrae, ct, chosen, written), settings, folder)
    results = Results(chosen, ct, study.inference, vertebrae, measured, written, report)
    summary = steps.write_report(results, settings, watch, folder)
    output.commit()
    return summary


def results_of(study: SegmentedStudy, settings: RunSettings) -> Results:
    """Return what a single output is made of: an image with its vertebrae, measured, and no segmentation beside it.

    Parameters
    ----------
    study : SegmentedStudy
        From `segment_study` or `segment_image`.
    settings : RunSettings
        Settings of the run.
    """
    measured = steps.measure(study.vertebrae, study.ct, study.chosen, settings, study.inference.levels)
    return Results(study.chosen, study.ct, study.inference, study.vertebrae, measured)


def run_study(
    scan: Scan,
    package: ModelPackage,
    settings: RunSettings,
    output: StudyOutput,
    progress: ProgressCallback | None = None,
) -> Summary:
    """Walk one study from its scan to its results.

    Parameters
    ----------
    scan, package, settings, progress
        As in `segment_study`.
    output : StudyOutput
        Open output folder; the results appear there at the end.

    Raises
    ------
    CSpineError
        Whatever goes wrong; no results are left behind.
    """
    return write_results(segment_study(scan, package, settings, progress), settings, output)


def run_image(
    path: Path,
    package: ModelPackage,
    settings: RunSettings,
    output: StudyOutput,
    progress: ProgressCallback | None = None,
) -> Summary:
    """Walk one NIfTI file to its results: labels and report.

    Parameters
    ----------
    path : Path
        The file.
    package, settings, progress
        As in `segment_study`.
    output : StudyOutput
        Open output folder; the results appear there at the end.

    Returns
    -------
    Summary
        The summary, also if it is not among the outputs.

    Raises
    ------
    DicomSourceNeededError
        If a DICOM object is among the outputs.
    CSpineError
        Whatever else goes wrong; no results are left behind.
    """
    study = segment_image(lambda: steps.read_image(path, settings, package), package, settings, progress)
    return write_results(study, settings, output)
