"""The steps of a study as plain functions: `pipeline.study` calls them in order, the operators one by one."""

from __future__ import annotations

from cspine.pipeline.steps.cleaning import clean
from cspine.pipeline.steps.dicom_seg import write_dicom
from cspine.pipeline.steps.dicom_sr import MeasuredStudy, write_sr
from cspine.pipeline.steps.findings import contrast_findings
from cspine.pipeline.steps.inference import infer, require_runnable, with_engine
from cspine.pipeline.steps.measurement import measure
from cspine.pipeline.steps.objects import object_settings, remark_of
from cspine.pipeline.steps.patient import sex_of_patient
from cspine.pipeline.steps.reading import check_image, keep_files, read_ct, read_image
from cspine.pipeline.steps.report import material, write_report
from cspine.pipeline.steps.results import Results
from cspine.pipeline.steps.selection import ChosenSeries, choose_series, read_headers, series_of_caller

__all__ = [
    "ChosenSeries",
    "MeasuredStudy",
    "Results",
    "check_image",
    "choose_series",
    "clean",
    "contrast_findings",
    "infer",
    "keep_files",
    "material",
    "measure",
    "object_settings",
    "read_ct",
    "read_headers",
    "read_image",
    "remark_of",
    "require_runnable",
    "series_of_caller",
    "sex_of_patient",
    "with_engine",
    "write_dicom",
    "write_report",
    "write_sr",
]
