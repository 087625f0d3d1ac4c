"""Report writer: writes every other output of a result, and its summary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cspine.operators.domain import ct_of, provenance_of
from cspine.operators.sdk import Fragment, InputContext
from cspine.operators.step import (
    IMAGE,
    MEASUREMENTS,
    PREDICTION,
    SEG_FILE,
    SEG_IMAGE,
    STUDIES,
    SUMMARY,
    StepOperator,
)
from cspine.operators.studies import chosen_series
from cspine.pipeline import steps
from cspine.report.summary import Summary


class ReportWriterOperator(StepOperator):
    """Write the outputs that were chosen: by default a picture, a page, and a table and a summary of the result.

    Named inputs:
        study_selected_series_list: list of StudySelectedSeries.
        image: Image, of cspine's reader.
        prediction: Image, of cspine's inference.
        seg_image: Image, of cspine's postprocessing.
        seg_file: DataPath, of cspine's DICOM-SEG writer.
        measurements: DataPath, of cspine's DICOM-SR writer.

    Named output:
        summary: Summary, as it was written.

    File output:
        report/preview.png, report/report.html, report/measurements.csv, report/summary.json and others that were
        chosen, in the output folder.

    Parameters
    ----------
    fragment : Fragment
        The application.
    *args, **kwargs
        What Holoscan's `Operator` takes: conditions, resources, and ``name``.
    output_folder : Path
        The folder that was given to the DICOM-SEG writer.
    """

    inputs = (STUDIES, IMAGE, PREDICTION, SEG_IMAGE, SEG_FILE, MEASUREMENTS)
    output = SUMMARY

    def __init__(self, fragment: Fragment, *args: Any, output_folder: Path = Path("output"), **kwargs: Any) -> None:
        self.output_folder = output_folder
        self.summary: Summary | None = None
        super().__init__(fragment, *args, **kwargs)

    def work(self, op_input: InputContext) -> Summary:
        """Write the report."""
        seg_file, measurements = op_input.receive(SEG_FILE), op_input.receive(MEASUREMENTS)
        results = steps.Results(
            chosen_series(op_input.receive(STUDIES)),
            ct_of(op_input.receive(IMAGE)),
            op_input.receive(PREDICTION).inference,
            op_input.receive(SEG_IMAGE).vertebrae,
            measurements.measured,
            seg_file.record,
            measurements.record,
        )
        before = provenance_of(measurements)
        (self.output_folder / "report").mkdir(parents=True, exist_ok=True)
        self.summary = steps.write_report(results, before.settings, before.stopwatch(), self.output_folder)
        return self.summary
