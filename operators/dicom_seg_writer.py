"""DICOM-SEG writer: writes the vertebrae as a DICOM Segmentation."""

from __future__ import annotations

from cspine import pipeline
from cspine.dicom.seg import SegRecord
from cspine.segmentation import Vertebrae
from cspine.volumes import CtVolume
from operators.step import StepOperator


class DicomSegWriterOperator(StepOperator):
    """Takes ``vertebrae``, ``ct`` and ``series``, emits what was written on port ``segmentation``."""

    inputs = ("vertebrae", "ct", "series")
    output = "segmentation"
    step = "write DICOM"

    def work(self, vertebrae: Vertebrae, ct: CtVolume, series: pipeline.ChosenSeries) -> SegRecord:
        """Write the object."""
        return pipeline.write_dicom(vertebrae, ct, series, self.job.settings, self.job.staging)
