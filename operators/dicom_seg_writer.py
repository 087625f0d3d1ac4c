"""DICOM-SEG writer: writes the vertebrae as a DICOM Segmentation."""

from __future__ import annotations

from cspine.core.volumes import CtVolume
from cspine.dicom.seg import SegRecord
from cspine.pipeline import steps
from cspine.pipeline.segmentation import Vertebrae
from operators.step import StepOperator


class DicomSegWriterOperator(StepOperator):
    """Takes ``vertebrae``, ``ct`` and ``series``, emits what was written on port ``segmentation``."""

    inputs = ("vertebrae", "ct", "series")
    output = "segmentation"
    step = "write DICOM"

    def work(self, vertebrae: Vertebrae, ct: CtVolume, series: steps.ChosenSeries) -> SegRecord | None:
        """Write the object where it is wanted."""
        return steps.write_dicom(vertebrae, ct, series, self.job.settings, self.job.staging)
