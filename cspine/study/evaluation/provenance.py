"""The provenance of predictions: no fold may predict a case that it was trained on and that is evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cspine.core.errors import InputError, SplitError
from cspine.io.output_folder import PREDICT, summary_of
from cspine.io.tables import counted
from cspine.study.datasets.case_table import Subset
from cspine.study.evaluation.pairing import EvaluationCase
from cspine.study.prediction.records import PredictionRecord, record_of

_AGAIN = "Predict them again with `cspine predict --dataset`, into another folder."


def check_provenance(folder: Path, cases: Sequence[EvaluationCase], split: str | None) -> list[str]:
    """Refuse predictions with leakage, and return notes for the readers of the others.

    Nothing is known of labels that `cspine predict` did not write.

    Parameters
    ----------
    folder : Path
        Folder of the predictions.
    cases : sequence of EvaluationCase
        What is evaluated.
    split : str or None
        Checksum of the split that the subsets and folds of the cases are of; None where they have none.

    Returns
    -------
    list of str
        Sentences.

    Raises
    ------
    InputError
        If the folder is unfinished.
    SplitError
        If cases were predicted for another split, or training cases by a fold that was trained on them.
    """
    written = summary_of(folder, PREDICT)
    if written is None:
        return []
    if written.get("complete") is not True:
        raise InputError(
            f"the predictions in {folder} are unfinished",
            advice="Give the same `cspine predict` again: it resumes where it stopped.",
        )
    if split is None:
        return []
    records = {case.name: record for case in cases if (record := _record(folder, case)) is not None}
    assigned = [case for case in cases if case.subset and case.name in records]
    moved = [case.name for case in assigned if records[case.name].subset not in ("", case.subset)]
    if moved:
        raise SplitError(
            f"{counted(len(moved), 'prediction')} of another split: {moved[0]} was then in another subset",
            advice=_AGAIN,
        )
    model = written.get("model")
    trained_on = model.get("split") if isinstance(model, dict) else None
    alien = [c for c in assigned if c.subset == Subset.TRAINING and records[c.name].folds != str(c.fold)]
    if alien and trained_on == split:
        raise SplitError(
            f"{_predicted(alien)} by folds that were trained on them, for example {alien[0].name} by fold "
            f"{records[alien[0].name].folds}; only fold {alien[0].fold} was not trained on it",
            advice=_AGAIN,
        )
    notes = []
    if alien:
        notes.append(f"{_predicted(alien)} by another fold than their own: no cross-validation.")
    # A cervical and a full-spine dataset of one study have splits of their own: that of the prediction counts.
    if assigned and trained_on is None:
        notes.append("the model does not say which cases it was trained on: those evaluated here may be among them.")
    elif assigned and trained_on != (written.get("dataset_split") or split):
        notes.append("the model was trained on another split: it may be trained on cases evaluated here.")
    return notes


def _predicted(cases: Sequence[EvaluationCase]) -> str:
    return f"{counted(len(cases), 'training case')} {'was' if len(cases) == 1 else 'were'} predicted"


def _record(folder: Path, case: EvaluationCase) -> PredictionRecord | None:
    if case.prediction is None or case.prediction.parent.resolve() != folder.resolve():
        return None
    return record_of(case.prediction)
