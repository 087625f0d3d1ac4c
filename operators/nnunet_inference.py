"""nnU-Net inference: runs the model package on the volume."""

from __future__ import annotations

from cspine.core.volumes import CtVolume
from cspine.inference.predict import Inference
from cspine.io.console import progress
from cspine.pipeline import steps
from operators.step import StepOperator


class NnunetInferenceOperator(StepOperator):
    """Takes ``ct``, emits labels and record on port ``inference``."""

    inputs = ("ct",)
    output = "inference"
    step = "infer"

    def work(self, ct: CtVolume) -> Inference:
        """Run the network."""
        with progress("tiles") as tell:
            return steps.infer(ct, self.job.package, self.job.settings, tell)
