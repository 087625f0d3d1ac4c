"""cspine: the vertebrae C1..C7 and T1 from a CT of the neck, as a DICOM Segmentation.

>>> import cspine
>>> seg = cspine.segment("neck-ct", model="cervical-demo")  # doctest: +SKIP
>>> seg.save("out")  # doctest: +SKIP

Names are loaded when they are first used: importing cspine takes no time and loads neither NumPy nor torch.
docs/guide/python.md has the guide.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cspine import study
    from cspine.api import (
        install_model,
        list_models,
        list_series,
        load_model,
        measure,
        read_ct,
        segment,
        verify_model,
    )
    from cspine.core.errors import CSpineError
    from cspine.core.findings import Finding
    from cspine.core.volumes import CtVolume, LabelVolume
    from cspine.dicom.clock import Clock
    from cspine.inference.settings import InferenceSettings
    from cspine.measurements.spine import SpineMeasurements
    from cspine.measurements.table import MeasurementTable
    from cspine.measurements.vertebra import VertebraMeasurement
    from cspine.models.install import InstallOptions
    from cspine.models.verification import PackageCheck
    from cspine.pipeline.measured_labels import MeasuredLabels
    from cspine.pipeline.result import Segmentation
    from cspine.pipeline.series_list import ListedSeries
    from cspine.pipeline.settings import RunSettings
    from cspine.report.picture import Picture
    from cspine.surfaces.fe_model import FeModel
    from cspine.surfaces.fe_settings import FeSettings
    from cspine.surfaces.settings import SurfaceSettings
    from cspine.surfaces.vertebrae import VertebraSurface

__version__ = "0.1.0"

__all__ = [
    "CSpineError",
    "Clock",
    "CtVolume",
    "FeModel",
    "FeSettings",
    "Finding",
    "InferenceSettings",
    "InstallOptions",
    "LabelVolume",
    "ListedSeries",
    "MeasuredLabels",
    "MeasurementTable",
    "PackageCheck",
    "Picture",
    "RunSettings",
    "Segmentation",
    "SpineMeasurements",
    "SurfaceSettings",
    "VertebraMeasurement",
    "VertebraSurface",
    "__version__",
    "install_model",
    "list_models",
    "list_series",
    "load_model",
    "measure",
    "read_ct",
    "segment",
    "study",
    "verify_model",
]

#: The module of each public name.
_MODULES = {
    "CSpineError": "cspine.core.errors",
    "Clock": "cspine.dicom.clock",
    "CtVolume": "cspine.core.volumes",
    "FeModel": "cspine.surfaces.fe_model",
    "FeSettings": "cspine.surfaces.fe_settings",
    "Finding": "cspine.core.findings",
    "InferenceSettings": "cspine.inference.settings",
    "InstallOptions": "cspine.models.install",
    "LabelVolume": "cspine.core.volumes",
    "ListedSeries": "cspine.pipeline.series_list",
    "MeasuredLabels": "cspine.pipeline.measured_labels",
    "MeasurementTable": "cspine.measurements.table",
    "PackageCheck": "cspine.models.verification",
    "Picture": "cspine.report.picture",
    "RunSettings": "cspine.pipeline.settings",
    "Segmentation": "cspine.pipeline.result",
    "SpineMeasurements": "cspine.measurements.spine",
    "SurfaceSettings": "cspine.surfaces.settings",
    "VertebraMeasurement": "cspine.measurements.vertebra",
    "VertebraSurface": "cspine.surfaces.vertebrae",
    "install_model": "cspine.api",
    "list_models": "cspine.api",
    "list_series": "cspine.api",
    "load_model": "cspine.api",
    "measure": "cspine.api",
    "read_ct": "cspine.api",
    "segment": "cspine.api",
    "verify_model": "cspine.api",
}


def __getattr__(name: str) -> object:
    """Load a public name when it is first used (PEP 562)."""
    if name == "study":
        return import_module("cspine.study")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
