"""The error tree: every failure that cspine can explain has a stable code, an exit code and advice.

One module for each family of codes; all are imported from here. `table` lists all codes; it makes the table of
docs/reference/errors.md. Messages contain numbers, tags and hashed identifiers; they never contain patient data.
"""

from __future__ import annotations

from cspine.core.errors.base import CSpineError, Subject
from cspine.core.errors.defects import as_defect
from cspine.core.errors.geometry import (
    DuplicatePositionError,
    ExcessiveTiltError,
    GeometryError,
    ImpossibleGeometryError,
    MissingSliceError,
    MixedAcquisitionsError,
    MixedMatrixError,
    NonOrthonormalError,
    ScoutAmongSlicesError,
    SingleSliceError,
    UnsupportedOrientationError,
    VariableSpacingError,
)
from cspine.core.errors.identifiers import hashed
from cspine.core.errors.inference import DeviceError, InferenceError, NotEnoughMemoryError, OutOfMemoryError
from cspine.core.errors.models import (
    LabelMapNeededError,
    ModelChecksumError,
    ModelError,
    ModelExistsError,
    ModelNotFoundError,
    NotCalibratedError,
    OrientationNeededError,
    UnsafeCheckpointError,
    UnsupportedModelError,
)
from cspine.core.errors.pixels import (
    NotHounsfieldError,
    PhotometricError,
    PixelError,
    RescaleError,
    UnsupportedImageError,
)
from cspine.core.errors.results import FindingError, MeshError, NoVertebraError, OutputError, OutputNotEmptyError
from cspine.core.errors.runs import CohortError, NotReadyError, SomeStudiesFailedError
from cspine.core.errors.selection import NoSuitableSeriesError, UnknownSeriesError
from cspine.core.errors.service import (
    AlteredResultError,
    DeliveryError,
    ListenerError,
    RetrievalError,
    RoutingError,
    SpoolError,
    WorkerDiedError,
)
from cspine.core.errors.source import (
    AmbiguousPositionError,
    InputError,
    MissingAttributeError,
    NoDicomError,
    OtherImageError,
    PriorResultError,
    SeveralPatientsError,
    UnreadableArchiveError,
)
from cspine.core.errors.study import (
    AtlasError,
    CaseGridError,
    ComparisonError,
    DatasetError,
    LabelSchemeError,
    RequirementError,
    SplitError,
    TrainingError,
)
from cspine.core.errors.system import ProcessStartError, SystemLimitError, system_limit
from cspine.core.errors.table import errors_table, every_error
from cspine.core.errors.usage import (
    DicomSourceNeededError,
    MissingExtraError,
    RoutingConfigError,
    RulesError,
    UsageError,
)

__all__ = [
    "AlteredResultError",
    "AmbiguousPositionError",
    "AtlasError",
    "CSpineError",
    "CaseGridError",
    "CohortError",
    "ComparisonError",
    "DatasetError",
    "DeliveryError",
    "DeviceError",
    "DicomSourceNeededError",
    "DuplicatePositionError",
    "ExcessiveTiltError",
    "FindingError",
    "GeometryError",
    "ImpossibleGeometryError",
    "InferenceError",
    "InputError",
    "LabelMapNeededError",
    "LabelSchemeError",
    "ListenerError",
    "MeshError",
    "MissingAttributeError",
    "MissingExtraError",
    "MissingSliceError",
    "MixedAcquisitionsError",
    "MixedMatrixError",
    "ModelChecksumError",
    "ModelError",
    "ModelExistsError",
    "ModelNotFoundError",
    "NoDicomError",
    "NoSuitableSeriesError",
    "NoVertebraError",
    "NonOrthonormalError",
    "NotCalibratedError",
    "NotEnoughMemoryError",
    "NotHounsfieldError",
    "NotReadyError",
    "OrientationNeededError",
    "OtherImageError",
    "OutOfMemoryError",
    "OutputError",
    "OutputNotEmptyError",
    "PhotometricError",
    "PixelError",
    "PriorResultError",
    "ProcessStartError",
    "RequirementError",
    "RescaleError",
    "RetrievalError",
    "RoutingConfigError",
    "RoutingError",
    "RulesError",
    "ScoutAmongSlicesError",
    "SeveralPatientsError",
    "SingleSliceError",
    "SomeStudiesFailedError",
    "SplitError",
    "SpoolError",
    "Subject",
    "SystemLimitError",
    "TrainingError",
    "UnknownSeriesError",
    "UnreadableArchiveError",
    "UnsafeCheckpointError",
    "UnsupportedImageError",
    "UnsupportedModelError",
    "UnsupportedOrientationError",
    "UsageError",
    "VariableSpacingError",
    "WorkerDiedError",
    "as_defect",
    "errors_table",
    "every_error",
    "hashed",
    "system_limit",
]
