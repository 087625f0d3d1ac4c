"""`cspine dataset split`: one call for the datasets of a study."""

import json

import pytest

from cspine.core.errors import SplitError, UsageError
from cspine.study.datasets.case_table import Subset
from tests.builders.raises import raises_code
from tests.cli.test_dataset_convert import invoke
from tests.study.datasets.test_apply_split import study

__all__ = ["study"]

NUMBERS = ("--training", 12, "--internal", 3, "--external", 4, "--folds", 3)


def test_both_datasets_are_split_and_the_patients_described(study):
    output = invoke("split", *(folder.root for folder in study), *NUMBERS).output
    assert "Dataset501_Cervical" in output and "Dataset502_FullSpine" in output
    assert "Internal validation" in output and "Age, mean ± SD" in output and "checksum of the split" in output
    subsets = [{row.case: (row.subset, row.fold) for row in folder.rows() if not row.excluded} for folder in study]
    assert subsets[0].items() <= subsets[1].items()
    assert sum(subset is Subset.EXTERNAL for subset, _ in subsets[0].values()) >= 4


def test_a_small_cohort_is_scaled_and_patients_elsewhere_may_stay_out(study):
    with raises_code(SplitError, 209):
        invoke("split", study[0].root)
    invoke("split", *(folder.root for folder in study), "--scale", "--remaining", "unassigned", "--complete", "c2-c7")
    spines = study[1].rows()
    necks = {row.patient for row in study[0].rows() if not row.excluded}
    assert all(row.patient in necks for row in spines if row.subset is Subset.TRAINING)
    settings = json.loads((study[1].root / "split.json").read_text())["settings"]
    assert (settings["scale"], settings["remaining"], settings["complete_levels"][0]) == (True, "unassigned", "C2")


@pytest.mark.parametrize("complete", ["T1-C1", "neck", "C1-X9"])
def test_levels_that_do_not_exist_are_refused(study, complete):
    with raises_code(UsageError, "--complete", repr(complete)):
        invoke("split", study[0].root, "--complete", complete)


def test_help_says_what_the_paper_leaves_open():
    output = invoke("split", "--help").output
    assert all(word in output for word in ("paper", "--internal-from", "splits_final.json", "172"))
