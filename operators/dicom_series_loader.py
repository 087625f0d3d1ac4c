"""The operator that scans the headers of the input folder and selects a series."""

from __future__ import annotations

from cspine.pipeline import steps
from operators.step import StepOperator


class DicomSeriesLoaderOperator(StepOperator):
    """Select a series and emit it on port ``series``."""

    output = "series"
    step = "select"

    def work(self) -> steps.ChosenSeries:
        """Return the chosen series."""
        headers = steps.read_headers(self.job.input_folder)
        return steps.choose_series(headers, self.job.settings, self.job.package)
