"""A split in the folders of a study's datasets: complete, repeatable, and recognisable while it is in progress."""

import json

import pytest

from cspine.core.errors import DatasetError, SplitError
from cspine.study.datasets.apply_split import apply_split
from cspine.study.datasets.case_table import Subset, split_checksum, write_cases
from cspine.study.datasets.dataset_folder import SPLITS, DatasetFolder
from cspine.study.datasets.split import SplitSettings, splits_final
from cspine.study.label_sets import label_set
from tests.builders.case_rows import study_rows
from tests.builders.raises import raises_code
from tests.study.datasets.test_dataset_folder import folder_with

ASKED = SplitSettings(12, 3, 4, folds=3)


def dataset(root, name, labels, rows):
    folder = DatasetFolder(root / name)
    folder_with_files = folder_with(root, *(row.case for row in rows if row.levels))
    if folder_with_files.root != folder.root:
        folder_with_files.root.rename(folder.root)
    write_cases(folder.root / "cases.csv", rows)
    folder.write_dataset_json(label_set(labels), rows, "from somewhere")
    return folder


@pytest.fixture
def study(tmp_path):
    necks, spines = study_rows(60, 30, seed=2)
    spine = dataset(tmp_path, "Dataset502_FullSpine", "full-spine", spines)
    return dataset(tmp_path, "Dataset501_Cervical", "cervical", necks), spine


def test_files_tables_and_folds_agree_in_both_datasets(study):
    for folder, rows in zip(study, apply_split(study, ASKED), strict=True):
        kinds = {Subset.TRAINING: "Tr", Subset.INTERNAL: "Ts", Subset.EXTERNAL: "Ts", Subset.UNASSIGNED: "Excluded"}
        assert all(folder.where(r.case) == kinds.get(r.subset, "Excluded") for r in rows if r.levels)
        assert sorted(folder.rows(), key=lambda r: r.case) == sorted(rows, key=lambda r: r.case)
        training = {row.case for row in rows if row.subset is Subset.TRAINING}
        assert {p.name.removesuffix("_0000.nii.gz") for p in folder.images("Tr").iterdir()} == training
        folds = json.loads((folder.root / SPLITS).read_text())
        assert folds == splits_final(rows) and len(folds) == 3
        content = json.loads((folder.root / "dataset.json").read_text())
        assert (content["numTraining"], content["description"]) == (len(training), "from somewhere")
        record = json.loads((folder.root / "split.json").read_text())
        assert record["checksum"] == split_checksum(rows)
        assert (record["settings"]["training"], record["settings"]["internal_from"]) == (12, "top")
        assert (folder.root / "demographics.md").is_file()


def test_an_interrupted_split_has_no_folds_and_is_completed_by_the_same_call(study, monkeypatch):
    expected = apply_split(study, ASKED)
    moved = DatasetFolder.publish

    def stop(folder, rows):
        moved(folder, list(rows)[:20])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(DatasetFolder, "publish", stop)
        apply_split(study, SplitSettings(10, 5, 4, folds=3, seed=1))
    assert not any((folder.root / SPLITS).exists() for folder in study)
    assert apply_split(study, ASKED) == expected
    test_files_tables_and_folds_agree_in_both_datasets(study)


def test_too_many_asked_changes_nothing(study):
    apply_split(study, ASKED)
    before = {path: path.read_bytes() for folder in study for path in folder.root.glob("*") if path.is_file()}
    with raises_code(SplitError, 500):
        apply_split(study, SplitSettings(500, 0, 4))
    assert all(path.read_bytes() == content for path, content in before.items())


def test_what_is_no_dataset_is_refused_without_a_trace(study, tmp_path):
    with raises_code(DatasetError):
        apply_split([study[0], study[0]], ASKED)
    (tmp_path / "empty").mkdir()
    with raises_code(DatasetError, "dataset.json"):
        apply_split([study[0], DatasetFolder(tmp_path / "empty")], ASKED)
    assert not list((tmp_path / "empty").iterdir())
