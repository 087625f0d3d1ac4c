"""The graph of operators, from a folder of DICOM files to a DICOM Segmentation with its report."""

from __future__ import annotations

from typing import Any

from holoscan.conditions import CountCondition
from monai.deploy.core import Application

from operators.ct_reader import CtReaderOperator
from operators.dicom_seg_writer import DicomSegWriterOperator
from operators.dicom_series_loader import DicomSeriesLoaderOperator
from operators.nnunet_inference import NnunetInferenceOperator
from operators.postprocessing import PostprocessingOperator
from operators.report_writer import ReportWriterOperator
from operators.step import Job, StepOperator


class CSpineApplication(Application):  # type: ignore[misc]
    """The application that segments the vertebrae of one study.

    Parameters
    ----------
    job : Job
        The study, the model, the settings, and where results are made.
    """

    def __init__(self, *args: Any, job: Job, **kwargs: Any) -> None:
        self.job = job
        super().__init__(*args, **kwargs)

    def compose(self) -> None:
        """Connect each operator to the operators that emit its inputs."""
        kinds: tuple[type[StepOperator], ...] = (
            DicomSeriesLoaderOperator,
            CtReaderOperator,
            NnunetInferenceOperator,
            PostprocessingOperator,
            DicomSegWriterOperator,
            ReportWriterOperator,
        )
        emitters: dict[str, StepOperator] = {}
        for kind in kinds:
            # An operator without inputs would run again and again.
            once = () if kind.inputs else (CountCondition(self, 1),)
            operator = kind(self, *once, name=kind.__module__.rsplit(".", 1)[-1], job=self.job)
            self.add_operator(operator)
            for port in kind.inputs:
                self.add_flow(emitters[port], operator, {(port, port)})
            if kind.output:
                emitters[kind.output] = operator
