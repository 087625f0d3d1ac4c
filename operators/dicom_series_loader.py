"""DICOM series loader: scans the headers of the input folder and selects the series."""

from __future__ import annotations

from cspine import pipeline
from operators.step import StepOperator


class DicomSeriesLoaderOperator(StepOperator):
    """Emits the chosen series on port ``series``."""

    output = "series"
    step = "select"

    def work(self) -> pipeline.ChosenSeries:
        """Scan and select."""
        headers = pipeline.read_headers(self.job.input_folder)
        return pipeline.choose_series(headers, self.job.settings, self.job.package)
