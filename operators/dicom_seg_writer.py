"""The operator that writes the vertebrae as a DICOM Segmentation."""

from __future__ import annotations

from cspine.core.volumes import CtVolume
from cspine.dicom.seg import SegRecord
from cspine.pipeline import steps
from cspine.pipeline.segmentation import Vertebrae
from operators.step import StepOperator


class DicomSegWriterOperator(StepOperator):
    """Write ``vertebrae`` for ``ct`` and ``series``, and emit the record on port ``segmentation``."""

    inputs = ("vertebrae", "ct", "series")
    output = "segmentation"
    step = "write DICOM"

    def work(self, vertebrae: Vertebrae, ct: CtVolume, series: steps.ChosenSeries) -> SegRecord | None:
        """Write the object if it is wanted, and return its record."""
        return steps.write_dicom(vertebrae, ct, series, self.job.settings, self.job.staging)
