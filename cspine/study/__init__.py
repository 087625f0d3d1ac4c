"""The research: one function a study command, loaded when it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cspine.study.audits.audit import AuditSettings
    from cspine.study.comparison.statistics import Settings as ComparisonSettings
    from cspine.study.datasets.sources.collect import Folders
    from cspine.study.datasets.split import SplitSettings
    from cspine.study.evaluation.evaluate import Evaluation, EvaluationOptions, evaluate
    from cspine.study.evaluation.pairing import Inputs
    from cspine.study.functions import audit, compare, convert, split, train
    from cspine.study.prediction.predict import predict
    from cspine.study.training.settings import TrainingSettings

__all__ = [
    "AuditSettings",
    "ComparisonSettings",
    "Evaluation",
    "EvaluationOptions",
    "Folders",
    "Inputs",
    "SplitSettings",
    "TrainingSettings",
    "audit",
    "compare",
    "convert",
    "evaluate",
    "predict",
    "split",
    "train",
]

#: The module of each public name, and its name there.
_MODULES = {
    "AuditSettings": ("cspine.study.audits.audit", "AuditSettings"),
    "ComparisonSettings": ("cspine.study.comparison.statistics", "Settings"),
    "Evaluation": ("cspine.study.evaluation.evaluate", "Evaluation"),
    "EvaluationOptions": ("cspine.study.evaluation.evaluate", "EvaluationOptions"),
    "Folders": ("cspine.study.datasets.sources.collect", "Folders"),
    "Inputs": ("cspine.study.evaluation.pairing", "Inputs"),
    "SplitSettings": ("cspine.study.datasets.split", "SplitSettings"),
    "TrainingSettings": ("cspine.study.training.settings", "TrainingSettings"),
    "audit": ("cspine.study.functions", "audit"),
    "compare": ("cspine.study.functions", "compare"),
    "convert": ("cspine.study.functions", "convert"),
    "evaluate": ("cspine.study.evaluation.evaluate", "evaluate"),
    "predict": ("cspine.study.prediction.predict", "predict"),
    "split": ("cspine.study.functions", "split"),
    "train": ("cspine.study.functions", "train"),
}


def __getattr__(name: str) -> object:
    """Load a public name when it is first used (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, there = _MODULES[name]
    value: object = getattr(import_module(module), there)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
