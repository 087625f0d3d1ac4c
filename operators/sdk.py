"""Everything that the operators and the application import of MONAI Deploy and Holoscan: one place to follow a new SDK.

Written for monai-deploy-app-sdk 4.0.0 with Holoscan 4; docs/guide/monai-developers.md says what differs in newer lines.
"""

from __future__ import annotations

from holoscan.conditions import CountCondition
from holoscan.core import ExecutionContext, InputContext, OutputContext
from holoscan.logger import LogLevel, set_log_level
from monai.deploy.core import AppContext, Application, ConditionType, Fragment, Image, Operator, OperatorSpec
from monai.deploy.core.domain.datapath import DataPath
from monai.deploy.core.domain.dicom_series import DICOMSeries
from monai.deploy.core.domain.dicom_series_selection import SelectedSeries, StudySelectedSeries
from monai.deploy.core.domain.dicom_sop_instance import DICOMSOPInstance
from monai.deploy.core.domain.dicom_study import DICOMStudy

__all__ = [
    "AppContext",
    "Application",
    "ConditionType",
    "CountCondition",
    "DICOMSOPInstance",
    "DICOMSeries",
    "DICOMStudy",
    "DataPath",
    "ExecutionContext",
    "Fragment",
    "Image",
    "InputContext",
    "LogLevel",
    "Operator",
    "OperatorSpec",
    "OutputContext",
    "SelectedSeries",
    "StudySelectedSeries",
    "set_log_level",
]
