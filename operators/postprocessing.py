"""Postprocessing: cleans the labels and states what was found."""

from __future__ import annotations

from cspine import pipeline
from cspine.inference.predict import Inference
from cspine.segmentation import Vertebrae
from cspine.volumes import CtVolume
from operators.step import StepOperator


class PostprocessingOperator(StepOperator):
    """Takes ``inference``, ``ct`` and ``series``, emits labels with findings on port ``vertebrae``."""

    inputs = ("inference", "ct", "series")
    output = "vertebrae"
    step = "postprocess"

    def work(self, inference: Inference, ct: CtVolume, series: pipeline.ChosenSeries) -> Vertebrae:
        """Clean the labels."""
        return pipeline.clean(inference, ct, series, self.job.settings)
