"""The last step: write everything but the DICOM Segmentation and the structured report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cspine.pipeline.outputs import Material, OutputFormat, WrittenOutput, chosen_outputs
from cspine.pipeline.settings import RunSettings
from cspine.pipeline.steps.objects import object_settings
from cspine.pipeline.steps.results import Results, with_all_findings
from cspine.pipeline.steps.summary import summary_of
from cspine.pipeline.stopwatch import Stopwatch
from cspine.pipeline.written import written_files
from cspine.report.measurement_table import write_measurement_table
from cspine.report.summary import OutputSummary, Summary, output_summary, write_summary

if TYPE_CHECKING:
    from cspine.dicom.seg import SegRecord


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
    results = with_all_findings(results)
    formats = chosen_outputs(settings.outputs, has_dicom=results.ct.source is not None)
    written = [_seg_summary(results.segmentation, folder)] if results.segmentation is not None else []
    if results.report is not None:
        written.append(output_summary(results.report.path, folder, "SR", results.report.sop_instance_uid))
    warnings: list[str] = []
    for output in formats:
        if output.write is None:
            continue
        with stopwatch.step(output.name):
            so_far = summary_of(results, settings, stopwatch, written, warnings)
            done = output.write(_material(results, settings, so_far), folder / output.file) or WrittenOutput()
        written += _files_of(output, done.sop_instance_uid, folder)
        warnings += done.warnings
    summarized = next((output for output in formats if output.name == "summary"), None)
    if summarized is not None:
        table = folder / summarized.beside[0]
        write_measurement_table(results.measured.spine.values, results.measured.changes, table)
        written.append(output_summary(table, folder, "Measurements"))
    summary = summary_of(results, settings, stopwatch, written, warnings)
    if summarized is not None:
        write_summary(summary, folder / summarized.file)
    return summary


def material(results: Results, settings: RunSettings) -> Material:
    """Return what a single output is made of, when nothing else is written.

    Parameters
    ----------
    results : Results
        Results of the steps.
    settings : RunSettings
        Settings of the run.
    """
    results = with_all_findings(results)
    return _material(results, settings, summary_of(results, settings, Stopwatch(), ()))


def _material(results: Results, settings: RunSettings, summary: Summary) -> Material:
    common = object_settings(results.vertebrae, settings)
    return Material(results.ct, results.vertebrae, common, summary, settings, results.segmentation)


def _files_of(output: OutputFormat, uid: str | None, folder: Path) -> list[OutputSummary]:
    """Return the rows of what an output wrote: of a DICOM object with its UID, of a folder with all its files."""
    if uid is not None:
        return [output_summary(folder / output.file, folder, output.title, uid)]
    written = [folder / file for file in output.files if (folder / file).exists()]
    return [row for path in written for row in written_files(path, folder, output.title)]


def _seg_summary(record: SegRecord, folder: Path) -> OutputSummary:
    return output_summary(record.path, folder, f"SEG {record.seg_type.value.upper()}", record.sop_instance_uid)
