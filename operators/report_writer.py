"""The operator that writes summary and preview."""

from __future__ import annotations

from cspine.core.volumes import CtVolume
from cspine.dicom.seg import SegRecord
from cspine.inference.predict import Inference
from cspine.pipeline import steps
from cspine.pipeline.segmentation import Vertebrae
from operators.step import StepOperator


class ReportWriterOperator(StepOperator):
    """Write the report from the messages of all other operators, and keep the summary in the job."""

    inputs = ("series", "ct", "inference", "vertebrae", "segmentation")

    def work(
        self,
        series: steps.ChosenSeries,
        ct: CtVolume,
        inference: Inference,
        vertebrae: Vertebrae,
        segmentation: SegRecord | None,
    ) -> None:
        """Write summary and preview."""
        results = steps.Results(series, ct, inference, vertebrae, segmentation)
        self.job.summary = steps.write_report(results, self.job.settings, self.job.watch, self.job.staging)
