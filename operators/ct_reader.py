"""The operator that decodes the pixels of the chosen series into a volume."""

from __future__ import annotations

from cspine.core.volumes import CtVolume
from cspine.pipeline import steps
from operators.step import StepOperator


class CtReaderOperator(StepOperator):
    """Read the pixels of ``series`` and emit the volume on port ``ct``."""

    inputs = ("series",)
    output = "ct"
    step = "read"

    def work(self, series: steps.ChosenSeries) -> CtVolume:
        """Return the volume of the series."""
        return steps.read_ct(series, self.job.settings)
