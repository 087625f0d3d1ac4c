"""Postprocessing: cleans the labels and states what was found."""

from __future__ import annotations

from cspine.core.volumes import CtVolume
from cspine.inference.predict import Inference
from cspine.pipeline import steps
from cspine.pipeline.segmentation import Vertebrae
from operators.step import StepOperator


class PostprocessingOperator(StepOperator):
    """Takes ``inference``, ``ct`` and ``series``, emits labels with findings on port ``vertebrae``."""

    inputs = ("inference", "ct", "series")
    output = "vertebrae"
    step = "postprocess"

    def work(self, inference: Inference, ct: CtVolume, series: steps.ChosenSeries) -> Vertebrae:
        """Clean the labels."""
        return steps.clean(inference, ct, series, self.job.settings)
