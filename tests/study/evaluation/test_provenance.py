"""Predictions of cases that a model was trained on do not count as a test."""

from dataclasses import asdict
from pathlib import Path

from cspine.core.errors import InputError, SplitError
from cspine.io.tables import write_json
from cspine.study.evaluation.pairing import EvaluationCase
from cspine.study.evaluation.provenance import check_provenance
from cspine.study.prediction.records import PredictionRecord
from tests.builders.raises import raises_code

SPLIT = "5117"
#: Subset and fold by case, and the folds that predicted it.
HONEST = {"a": ("training", 0, "0"), "b": ("training", 1, "1"), "c": ("external", None, "0,1")}


def check(folder, predicted=HONEST, recorded=None, split=SPLIT, complete=True, **stated):
    """Write the records of a folder of predictions; return what there is to say of its cases."""
    model = {"name": "n", "checksum": "abc", "split": stated.pop("model_split", SPLIT)}
    write_json(folder / "summary.json", {"command": "cspine predict", "complete": complete, "model": model, **stated})
    cases = []
    for name, (subset, fold, folds) in predicted.items():
        record = PredictionRecord(name, (recorded or {}).get(name, subset), folds, "abc", "def")
        write_json(folder / "records" / f"{name}.json", asdict(record))
        cases.append(
            EvaluationCase(name, None, subset, fold, reference=Path("r"), prediction=folder / f"{name}.nii.gz")
        )
    return check_provenance(folder, cases, split)


def test_out_of_fold_predictions_are_beyond_doubt(tmp_path):
    assert check(tmp_path, dataset_split=SPLIT) == []
    assert check(tmp_path, split=None, complete=True) == []
    assert check_provenance(tmp_path / "others", [], SPLIT) == []  # of another system


def test_an_unfinished_folder_is_refused(tmp_path):
    with raises_code(InputError, tmp_path):
        check(tmp_path, complete=False)


def test_a_training_case_that_its_folds_knew_is_refused(tmp_path):
    leaked = {**HONEST, "b": ("training", 1, "0,1")}
    with raises_code(SplitError, "b", "0,1"):
        check(tmp_path, leaked, recorded={"b": ""})
    notes = check(tmp_path, leaked, recorded={"b": ""}, model_split=None)
    assert "cross-validation" in notes[0] and "which cases" in notes[1]


def test_predictions_of_an_earlier_split_are_refused(tmp_path):
    with raises_code(SplitError, 1, "c"):
        check(tmp_path, recorded={"c": "training"})


def test_a_model_of_another_split_is_reported(tmp_path):
    assert "trained on another split" in check(tmp_path, model_split="other")[0]
    # A full-spine model, predicted for its own dataset and evaluated on the cervical one of the same study.
    assert check(tmp_path, model_split="other", dataset_split="other") == []
