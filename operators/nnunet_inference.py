"""The operator that runs the model package on the volume."""

from __future__ import annotations

from cspine.core.volumes import CtVolume
from cspine.inference.predict import Inference
from cspine.io.console import progress
from cspine.pipeline import steps
from operators.step import StepOperator


class NnunetInferenceOperator(StepOperator):
    """Run the model on ``ct`` and emit labels and record on port ``inference``."""

    inputs = ("ct",)
    output = "inference"
    step = "infer"

    def work(self, ct: CtVolume) -> Inference:
        """Return the prediction of the model."""
        with progress("tiles") as on_progress:
            return steps.infer(ct, self.job.package, self.job.settings, on_progress)
