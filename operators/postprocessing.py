"""The operator that cleans the labels and reports findings."""

from __future__ import annotations

from cspine.core.volumes import CtVolume
from cspine.inference.predict import Inference
from cspine.pipeline import steps
from cspine.pipeline.segmentation import Vertebrae
from operators.step import StepOperator


class PostprocessingOperator(StepOperator):
    """Clean the labels of ``inference`` and emit them with their findings on port ``vertebrae``."""

    inputs = ("inference", "ct", "series")
    output = "vertebrae"
    step = "postprocess"

    def work(self, inference: Inference, ct: CtVolume, series: steps.ChosenSeries) -> Vertebrae:
        """Return the cleaned labels with their findings."""
        return steps.clean(inference, ct, series, self.job.settings)
