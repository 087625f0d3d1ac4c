"""nnU-Net inference: runs the model package on the volume."""

from __future__ import annotations

from cspine import pipeline
from cspine.cli.console import progress
from cspine.inference.predict import Inference
from cspine.volumes import CtVolume
from operators.step import StepOperator


class NnunetInferenceOperator(StepOperator):
    """Takes ``ct``, emits labels and record on port ``inference``."""

    inputs = ("ct",)
    output = "inference"
    step = "infer"

    def work(self, ct: CtVolume) -> Inference:
        """Run the network."""
        with progress("tiles") as tell:
            return pipeline.infer(ct, self.job.package, self.job.settings, tell)
