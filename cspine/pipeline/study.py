"""The way of one study, from its headers to its results: each step in order, timed."""

from __future__ import annotations

from cspine.core.progress import ProgressCallback
from cspine.dicom.scan import Scan
from cspine.io.output import StudyOutput
from cspine.models.package import ModelPackage
from cspine.pipeline import steps
from cspine.pipeline.settings import RunSettings
from cspine.pipeline.steps import Results
from cspine.pipeline.stopwatch import Stopwatch
from cspine.report.summary import Summary


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
    scan : Scan
        Headers of the input, as `read_headers` gives them or one of its studies.
    package : ModelPackage
        The model.
    settings : RunSettings
        Settings of the run.
    output : StudyOutput
        Open output folder; the results appear there at the end.
    progress : callable, optional
        Told the tiles done and all tiles.

    Returns
    -------
    Summary

    Raises
    ------
    CSpineError
        Whatever goes wrong; no results are left behind.
    """
    watch = Stopwatch()
    with watch.step("select"):
        chosen = steps.choose_series(scan, settings, package)
    with watch.step("read"):
        ct = steps.read_ct(chosen, settings)
    with watch.step("infer"):
        inference = steps.infer(ct, package, settings, progress)
    with watch.step("postprocess"):
        vertebrae = steps.clean(inference, ct, chosen, settings)
    with watch.step("write DICOM"):
        written = steps.write_dicom(vertebrae, ct, chosen, settings, output.staging)
    summary = steps.write_report(Results(chosen, ct, inference, vertebrae, written), settings, watch, output.staging)
    output.commit()
    return summary
