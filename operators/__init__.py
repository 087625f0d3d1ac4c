"""Holoscan operators for MONAI Deploy applications, one per file; always imported as `cspine.operators`.

They use the SDK's domain types, so that each fits into other applications: docs/guide/monai-developers.md.
"""

# In a checkout this folder lies on the path under a second name, and every class would exist twice.
if __name__ != "cspine.operators":
    raise ImportError("import the operators as `cspine.operators`")

from cspine.operators.ct_reader import CtReaderOperator
from cspine.operators.dicom_seg_writer import DicomSegWriterOperator
from cspine.operators.dicom_series_loader import DicomSeriesLoaderOperator
from cspine.operators.dicom_sr_writer import DicomSrWriterOperator
from cspine.operators.nnunet_inference import NnunetInferenceOperator
from cspine.operators.pdf_writer import EncapsulatedPdfWriterOperator
from cspine.operators.postprocessing import PostprocessingOperator
from cspine.operators.report_page import ReportPageOperator
from cspine.operators.report_writer import ReportWriterOperator
from cspine.operators.rtstruct_writer import RtStructWriterOperator
from cspine.operators.secondary_capture_writer import SecondaryCaptureWriterOperator
from cspine.operators.surface_writer import SurfaceWriterOperator

__all__ = [
    "CtReaderOperator",
    "DicomSegWriterOperator",
    "DicomSeriesLoaderOperator",
    "DicomSrWriterOperator",
    "EncapsulatedPdfWriterOperator",
    "NnunetInferenceOperator",
    "PostprocessingOperator",
    "ReportPageOperator",
    "ReportWriterOperator",
    "RtStructWriterOperator",
    "SecondaryCaptureWriterOperator",
    "SurfaceWriterOperator",
]
