"""Report writer: writes summary and preview."""

from __future__ import annotations

from cspine import pipeline
from cspine.dicom.seg import SegRecord
from cspine.inference.predict import Inference
from cspine.segmentation import Vertebrae
from cspine.volumes import CtVolume
from operators.step import StepOperator


class ReportWriterOperator(StepOperator):
    """Takes the messages of all other operators; the summary ends in the job."""

    inputs = ("series", "ct", "inference", "vertebrae", "segmentation")

    def work(
        self,
        series: pipeline.ChosenSeries,
        ct: CtVolume,
        inference: Inference,
        vertebrae: Vertebrae,
        segmentation: SegRecord,
    ) -> None:
        """Write the report."""
        results = pipeline.Results(series, ct, inference, vertebrae, segmentation)
        self.job.summary = pipeline.write_report(results, self.job.settings, self.job.watch, self.job.staging)
