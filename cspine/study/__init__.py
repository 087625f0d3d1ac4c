"""The research: one function per study command, loaded when it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cspine.study.audits.audit import AuditSettings
    from cspine.study.calibrate_model import LabelledImage, calibrate
    from cspine.study.comparison.statistics import Settings as ComparisonSettings
    from cspine.study.datasets.sources.collect import Folders
    from cspine.study.datasets.split import SplitSettings
    from cspine.study.datasets.summarize import DatasetSummary, summarize
    from cspine.study.dry_run.synthesize_cohort import WrittenCohort, synthesize_cohort
    from cspine.study.evaluation.evaluate import Evaluation, EvaluationOptions, evaluate
    from cspine.study.evaluation.pairing import Inputs
    from cspine.study.evaluation.write_blanked import BlankedCopies
    from cspine.study.functions import audit, compare, convert, split, train
    from cspine.study.prediction.predict import predict
    from cspine.study.qualify_model import qualify
    from cspine.study.synthesis.synthesize import synthesize
    from cspine.study.synthesis.write_cases import WrittenCase
    from cspine.study.synthesis.write_necks import Necks
    from cspine.study.synthesis.write_set import EvaluationSet
    from cspine.study.synthesis.write_spines import Spines
    from cspine.study.synthetic_training.train_model import TrainingSources, train_synthetic
    from cspine.study.training.settings import TrainingSettings

__all__ = [
    "AuditSettings",
    "BlankedCopies",
    "ComparisonSettings",
    "DatasetSummary",
    "Evaluation",
    "EvaluationOptions",
    "EvaluationSet",
    "Folders",
    "Inputs",
    "LabelledImage",
    "Necks",
    "Spines",
    "SplitSettings",
    "TrainingSettings",
    "TrainingSources",
    "WrittenCase",
    "WrittenCohort",
    "audit",
    "calibrate",
    "compare",
    "convert",
    "evaluate",
    "predict",
    "qualify",
    "split",
    "summarize",
    "synthesize",
    "synthesize_cohort",
    "train",
    "train_synthetic",
]

#: The module of each public name, and its name there.
_MODULES = {
    "AuditSettings": ("cspine.study.audits.audit", "AuditSettings"),
    "BlankedCopies": ("cspine.study.evaluation.write_blanked", "BlankedCopies"),
    "ComparisonSettings": ("cspine.study.comparison.statistics", "Settings"),
    "DatasetSummary": ("cspine.study.datasets.summarize", "DatasetSummary"),
    "Evaluation": ("cspine.study.evaluation.evaluate", "Evaluation"),
    "EvaluationOptions": ("cspine.study.evaluation.evaluate", "EvaluationOptions"),
    "EvaluationSet": ("cspine.study.synthesis.write_set", "EvaluationSet"),
    "Folders": ("cspine.study.datasets.sources.collect", "Folders"),
    "Inputs": ("cspine.study.evaluation.pairing", "Inputs"),
    "LabelledImage": ("cspine.study.calibrate_model", "LabelledImage"),
    "Necks": ("cspine.study.synthesis.write_necks", "Necks"),
    "Spines": ("cspine.study.synthesis.write_spines", "Spines"),
    "SplitSettings": ("cspine.study.datasets.split", "SplitSettings"),
    "TrainingSettings": ("cspine.study.training.settings", "TrainingSettings"),
    "TrainingSources": ("cspine.study.synthetic_training.train_model", "TrainingSources"),
    "WrittenCase": ("cspine.study.synthesis.write_cases", "WrittenCase"),
    "WrittenCohort": ("cspine.study.dry_run.synthesize_cohort", "WrittenCohort"),
    "audit": ("cspine.study.functions", "audit"),
    "calibrate": ("cspine.study.calibrate_model", "calibrate"),
    "compare": ("cspine.study.functions", "compare"),
    "convert": ("cspine.study.functions", "convert"),
    "evaluate": ("cspine.study.evaluation.evaluate", "evaluate"),
    "predict": ("cspine.study.prediction.predict", "predict"),
    "qualify": ("cspine.study.qualify_model", "qualify"),
    "split": ("cspine.study.functions", "split"),
    "summarize": ("cspine.study.datasets.summarize", "summarize"),
    "synthesize": ("cspine.study.synthesis.synthesize", "synthesize"),
    "synthesize_cohort": ("cspine.study.dry_run.synthesize_cohort", "synthesize_cohort"),
    "train": ("cspine.study.functions", "train"),
    "train_synthetic": ("cspine.study.synthetic_training.train_model", "train_synthetic"),
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
