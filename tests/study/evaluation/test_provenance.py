"""Predictions that a model made of what it had learnt are not taken for a test."""

from dataclasses import asdict
from pathlib import Path

import pytest

from cspine.core.errors import InputError, SplitError
from cspine.io.tables import write_json
from cspine.study.evaluation.pairing import EvaluationCase
from cspine.study.evaluation.provenance import check_provenance
from cspine.study.prediction.records import PredictionRecord

SPLIT = "5117"
#: Part and fold by case, and the folds that drew it.
HONEST = {"a": ("training", 0, "0"), "b": ("training", 1, "1"), "c": ("external", None, "0,1")}


def check(folder, drawn=HONEST, recorded=None, split=SPLIT, complete=True, **told):
    """Write the records of a folder of predictions; return what there is to say of its cases."""
    model = {"name": "n", "checksum": "abc", "split": told.pop("learnt", SPLIT)}
    write_json(folder / "summary.json", {"command": "cspine predict", "complete": complete, "model": model, **told})
    cases = []
    for name, (part, fold, folds) in drawn.items():
        record = PredictionRecord(name, (recorded or {}).get(name, part), folds, "abc", "def")
        write_json(folder / "records" / f"{name}.json", asdict(record))
        cases.append(EvaluationCase(name, None, part, fold, reference=Path("r"), prediction=folder / f"{name}.nii.gz"))
    return check_provenance(folder, cases, split)


def test_out_of_fold_predictions_are_beyond_doubt(tmp_path):
    assert check(tmp_path, dataset_split=SPLIT) == []
    assert check(tmp_path, split=None, complete=True) == []
    assert check_provenance(tmp_path / "others", [], SPLIT) == []  # of another system


def test_an_unfinished_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="are unfinished"):
        check(tmp_path, complete=False)


def test_a_training_case_that_its_folds_knew_is_refused(tmp_path):
    leaked = {**HONEST, "b": ("training", 1, "0,1")}
    with pytest.raises(SplitError, match="b by fold 0,1"):
        check(tmp_path, leaked, recorded={"b": ""})
    notes = check(tmp_path, leaked, recorded={"b": ""}, learnt=None)
    assert "cross-validation" in notes[0] and "which cases" in notes[1]


def test_predictions_of_an_earlier_split_are_refused(tmp_path):
    with pytest.raises(SplitError, match="1 prediction of another split: c "):
        check(tmp_path, recorded={"c": "training"})


def test_a_model_of_another_split_is_told(tmp_path):
    assert "trained on another split" in check(tmp_path, learnt="other")[0]
    # A full-spine model, drawn for its own dataset and judged on the cervical one of the same study.
    assert check(tmp_path, learnt="other", dataset_split="other") == []
