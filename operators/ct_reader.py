"""CT reader: decodes the pixels of the chosen series into a volume."""

from __future__ import annotations

from cspine import pipeline
from cspine.volumes import CtVolume
from operators.step import StepOperator


class CtReaderOperator(StepOperator):
    """Takes ``series``, emits the volume on port ``ct``."""

    inputs = ("series",)
    output = "ct"
    step = "read"

    def work(self, series: pipeline.ChosenSeries) -> CtVolume:
        """Read the pixels."""
        return pipeline.read_ct(series, self.job.settings)
