"""`cspine dataset summary`: counts and pictures of a dataset, before and after its split."""

import json

import matplotlib.image
import pytest

from cspine.core.errors import DatasetError, UsageError
from cspine.study.datasets.case_table import split_checksum
from cspine.study.datasets.dataset_folder import DatasetFolder
from cspine.study.dry_run import layouts
from tests.builders.public_sets import LADY, MAN, TRUNK, small_case, without
from tests.builders.raises import raises_code
from tests.cli.test_dataset_convert import convert, in_process, invoke

__all__ = ["in_process"]


@pytest.fixture
def dataset(tmp_path, in_process):
    for number in range(1, 5):
        ct, labels = small_case()
        layouts.write_verse(tmp_path / "verse", number, ct, without(labels, 4) if number == 3 else labels, LADY)
    layouts.write_verse(tmp_path / "verse", 5, *small_case(TRUNK), MAN)
    convert(tmp_path)
    return DatasetFolder(tmp_path / "Dataset501_Cervical")


def test_a_dataset_is_counted_and_shown_before_its_split(dataset):
    output = invoke("summary", dataset.root).output
    assert "missing level" in output and "no vertebra of the label set" in output and "Folds" not in output
    out = dataset.root / "summary"
    assert {path.name for path in out.iterdir()} == {
        "sheet.png", "levels.csv", "demographics.csv", "demographics.md", "summary.json",
    }  # fmt: skip
    picture = matplotlib.image.imread(out / "sheet.png")
    assert picture.shape[0] > 4 * 300 and picture[:, :, :3].std() > 0.05
    content = json.loads((out / "summary.json").read_text())
    assert (content["cases"], content["doubtful"], content["split"], content["complete"]) == (5, 1, None, True)
    assert content["subsets"] == {"unused": 4, "excluded": 1}


def test_after_the_split_it_reports_folds_and_checksum(dataset, tmp_path):
    numbers = ("--training", 3, "--internal", 1, "--external", 0, "--folds", 3)
    invoke("split", dataset.root, *numbers)
    output = invoke("summary", dataset.root, "--out", tmp_path / "out", "--pictures", 0).output
    assert "Folds of the training cases" in output
    assert not list((tmp_path / "out").glob("*.png"))
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["split"] == split_checksum(dataset.rows())


def test_a_damaged_picture_does_not_stop_the_sheet(dataset):
    dataset.pair("Tr", "verse2019_sub-verse001")[0].write_bytes(b"")
    invoke("summary", dataset.root)
    assert (dataset.root / "summary" / "sheet.png").is_file()


def test_what_is_no_dataset_or_a_folder_with_other_files_is_refused(dataset, tmp_path):
    with raises_code(DatasetError, "cases.csv", tmp_path):
        invoke("summary", tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "levels.csv").write_text("mine")
    with raises_code(UsageError, "levels.csv"):
        invoke("summary", dataset.root, "--out", tmp_path / "out")
