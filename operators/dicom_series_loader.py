"""DICOM series loader: scans the headers of the input folder and selects the series."""

from __future__ import annotations

from cspine.pipeline import steps
from operators.step import StepOperator


class DicomSeriesLoaderOperator(StepOperator):
    """Emits the chosen series on port ``series``."""

    output = "series"
    step = "select"

    def work(self) -> steps.ChosenSeries:
        """Scan and select."""
        headers = steps.read_headers(self.job.input_folder)
        return steps.choose_series(headers, self.job.settings, self.job.package)
