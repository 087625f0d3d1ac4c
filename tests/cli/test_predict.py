"""`cspine predict`: a folder of labels, from a model and many images."""

import csv
import gzip
import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

import cspine
from cspine.cli.predict import command
from cspine.core.anatomy import VERTEBRAE
from cspine.core.errors import RulesError, SomeStudiesFailedError, SplitError, UsageError
from cspine.core.volumes import LabelVolume
from cspine.dicom.rules import load_rules
from cspine.dicom.write_ct import CtSeriesDescription
from cspine.io import nifti
from cspine.study.prediction import prediction as module
from tests.builders.ct_series import Stack, build, save_all
from tests.builders.raises import raises_code
from tests.builders.tiny_dataset import tiny_dataset

pytestmark = pytest.mark.slow
SUBSETS = "training,internal,external"


def invoke(*arguments: object):
    words = [*(str(argument) for argument in arguments), "--device", "cpu"]
    return CliRunner().invoke(command, words, catch_exceptions=False)


def rows_of(out):
    with (out / "predictions.csv").open(newline="") as lines:
        return {row["case"]: row for row in csv.DictReader(lines)}


@pytest.fixture(scope="module")
def predicted(trained, tmp_path_factory):
    """Labels of all cases of the dataset, out of fold."""
    out = tmp_path_factory.mktemp("predicted") / "labels"
    result = invoke("--model", trained.package, "--dataset", trained.dataset, "--subsets", SUBSETS, "--out", out)
    assert result.exit_code == 0 and "6 of 6 cases" in result.output
    return out


@pytest.fixture
def counted(monkeypatch):
    """The cases that are predicted, as they are."""
    names = []
    draw = module._drawn

    def counts(case, *others):
        names.append(case.name)
        return draw(case, *others)

    monkeypatch.setattr(module, "_drawn", counts)
    return names


@pytest.fixture
def pictures(trained, tmp_path):
    """A folder with two images."""
    folder = tmp_path / "images"
    folder.mkdir()
    shutil.copy(trained.dataset / "imagesTs" / "case_4_0000.nii.gz", folder)
    shutil.copy(trained.dataset / "imagesTs" / "case_5_0000.nii.gz", folder / "other.nii.gz")
    return folder


def test_the_table_has_part_folds_model_and_predicted_levels(predicted, trained):
    rows = rows_of(predicted)
    assert {case: (row["subset"], row["folds"]) for case, row in rows.items()} == {
        "case_0": ("training", "0"),
        "case_1": ("training", "1"),
        "case_2": ("training", "0"),
        "case_3": ("training", "1"),
        "case_4": ("internal", "0,1"),
        "case_5": ("external", "0,1"),
    }
    assert tuple(rows["case_0"]) == module.COLUMNS
    assert all(float(row["seconds"]) > 0 and row["error"] == "" for row in rows.values())
    summary = json.loads((predicted / "summary.json").read_text())
    assert (summary["command"], summary["complete"], summary["cases"], summary["failed"]) == (
        "cspine predict",
        True,
        6,
        0,
    )
    assert {row["model"] for row in rows.values()} == {summary["model"]["checksum"]}
    assert summary["settings"]["raw"] is False and "device" not in summary["settings"]


def test_labels_lie_on_the_voxels_of_each_image_with_the_numbers_of_verse(predicted, trained):
    for path in sorted((trained.dataset / "imagesTr").iterdir()):
        ct, labels = nifti.read_ct(path), nifti.read_labels(predicted / path.name.replace("_0000", ""))
        assert labels.labels_zyx.shape == ct.hu_zyx.shape
        np.testing.assert_allclose(labels.affine_lps, ct.affine_lps, atol=1e-5)
        assert set(np.unique(labels.labels_zyx)) <= set(range(9))


def test_the_same_command_predicts_nothing_again(predicted, trained, counted, tmp_path):
    out = shutil.copytree(predicted, tmp_path / "labels")
    (out / "case_2.nii.gz").unlink()
    invoke("--model", trained.package, "--dataset", trained.dataset, "--subsets", SUBSETS, "--out", out)
    assert counted == ["case_2"]
    assert len(rows_of(out)) == 6


def test_subsets_of_a_dataset_may_be_predicted_one_after_the_other(predicted, trained, counted, tmp_path):
    out = shutil.copytree(predicted, tmp_path / "labels")
    result = invoke("--model", trained.package, "--dataset", trained.dataset, "--subsets", "external", "--out", out)
    assert "warning" not in result.stderr and counted == []
    assert rows_of(out) == rows_of(predicted)


def test_an_image_that_changed_is_predicted_again(pictures, trained, counted, tmp_path):
    call = ("--model", trained.package, "--input", pictures, "--out", tmp_path / "out")
    invoke(*call)
    assert counted == ["case_4", "other"]
    shutil.copy(trained.dataset / "imagesTr" / "case_0_0000.nii.gz", pictures / "other.nii.gz")
    invoke(*call)
    assert counted == ["case_4", "other", "other"]


def test_one_corrupt_file_is_listed_and_the_others_are_done(pictures, trained, counted, tmp_path):
    complete = (pictures / "other.nii.gz").read_bytes()
    (pictures / "broken.nii.gz").write_bytes(complete[:-200])
    (pictures / "text.nii.gz").write_bytes(gzip.compress(b"no image"))
    call = ("--model", trained.package, "--input", pictures, "--out", tmp_path / "out")
    with raises_code(SomeStudiesFailedError, 2, 4) as failed:
        invoke(*call)
    assert failed.value.exit_code == 11 and "predictions.csv" in failed.value.advice
    rows = rows_of(tmp_path / "out")
    assert "CS-IN-001" in rows["broken"]["error"]
    assert rows["text"]["error"] and rows["other"]["error"] == ""
    assert sorted(path.name for path in (tmp_path / "out").glob("*.nii.gz")) == ["case_4.nii.gz", "other.nii.gz"]

    (pictures / "broken.nii.gz").write_bytes(complete)
    (pictures / "text.nii.gz").write_bytes(complete)
    counted.clear()
    assert invoke(*call).exit_code == 0
    assert counted == ["broken", "text"]
    assert all(row["error"] == "" for row in rows_of(tmp_path / "out").values())


def test_raw_labels_are_what_the_network_predicted(pictures, trained, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "find_vertebrae", None)  # nothing is cleaned
    out = tmp_path / "raw"
    invoke("--model", trained.package, "--input", pictures, "--out", out, "--raw")
    assert json.loads((out / "summary.json").read_text())["settings"]["raw"] is True
    assert all(row["findings"] == "" for row in rows_of(out).values())
    with raises_code(UsageError, "--out", "settings"):
        invoke("--model", trained.package, "--input", pictures, "--out", out)


def test_fewer_folds_are_averaged_where_they_are_named(pictures, trained, tmp_path):
    invoke("--model", trained.package, "--input", pictures / "other.nii.gz", "--out", tmp_path / "out", "--folds", "1")
    assert rows_of(tmp_path / "out")["other"]["folds"] == "1"


def test_training_cases_of_another_split_are_refused_and_others_warned_of(trained, tmp_path):
    other = tiny_dataset(tmp_path / "Dataset501_Tiny", training=3, internal=2).root
    call = ("--model", trained.package, "--dataset", other, "--out", tmp_path / "out")
    with raises_code(SplitError, other.name):
        invoke(*call, "--subsets", "training")
    assert not (tmp_path / "out").exists()
    result = invoke(*call, "--subsets", "external")
    assert result.exit_code == 0 and "another split" in result.output


@pytest.mark.parametrize("more", [[], ["--input", "x", "--dataset", "y"]])
def test_either_images_or_a_dataset(trained, tmp_path, more):
    with raises_code(UsageError, "--input", "--dataset"):
        invoke("--model", trained.package, "--out", tmp_path / "out", *more)
    with raises_code(UsageError, "--subsets", "--dataset"):
        invoke("--model", trained.package, "--out", tmp_path / "out", "--input", "x", "--subsets", "internal")


def test_raw_labels_of_the_neck_alone_are_refused(trained, tmp_path):
    with raises_code(UsageError, "--raw", "--roi"):
        invoke("--model", trained.package, "--out", tmp_path, "--input", tmp_path, "--raw", "--roi", "auto")


def test_the_function_takes_what_the_command_takes(trained, tmp_path):
    options = {"model": trained.package, "dataset": trained.dataset, "settings": cspine.InferenceSettings("cpu")}
    records = cspine.study.predict(None, tmp_path / "raw", **options, subsets=["training"], raw=True)
    assert records and not any(record.error for record in records)
    settings = json.loads((tmp_path / "raw" / "summary.json").read_text())["settings"]
    assert (settings["raw"], settings["roi"]) == (True, "full")
    with raises_code(UsageError, "--subsets", "--dataset"):
        cspine.study.predict(tmp_path, tmp_path / "out", subsets="internal")
    with pytest.raises(RulesError):
        cspine.study.predict(tmp_path, tmp_path / "out", model=trained.package, rules=tmp_path / "none.yaml")


def test_labels_go_neither_among_the_images_nor_to_files_of_others(pictures, trained, tmp_path):
    for out in (pictures, pictures / "out", tmp_path):
        with raises_code(UsageError, "--out", "input"):
            invoke("--model", trained.package, "--input", pictures, "--out", out)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "other.nii.gz").write_bytes(b"by hand")
    with raises_code(UsageError, "--out", "other.nii.gz"):
        invoke("--model", trained.package, "--input", pictures, "--out", tmp_path / "mine")
    assert (tmp_path / "mine" / "other.nii.gz").read_bytes() == b"by hand"


def test_labels_of_other_rules_or_another_version_are_refused(pictures, trained, tmp_path, monkeypatch):
    call = ("--model", trained.package, "--input", pictures, "--out", tmp_path / "out")
    invoke(*call)
    (tmp_path / "rules.yaml").write_text("rank: [covers_more]\n")
    with raises_code(UsageError, "rules"):
        invoke(*call, "--rules", tmp_path / "rules.yaml")
    monkeypatch.setattr("cspine.__version__", "99.0")
    with raises_code(UsageError, "cspine"):
        invoke(*call)


def test_a_full_spine_model_is_given_the_series_that_its_rules_choose(trained, tmp_path, monkeypatch):
    seen = []

    def draw(case, prediction, *_):
        ct = case.read(prediction.rules)
        seen.append((prediction.rules, ct.hu_zyx.shape))
        return LabelVolume(np.zeros(ct.hu_zyx.shape, np.uint8), ct.affine_lps), ()

    monkeypatch.setattr("cspine.models.package.ModelPackage.levels", property(lambda package: VERTEBRAE))
    monkeypatch.setattr(module, "_drawn", draw)
    lumbar = CtSeriesDescription(uid_seed="l", study_seed="l", body_part="LSPINE", kernel="B30f", series_number=2)
    save_all(
        build(Stack(shape_zyx=(60, 4, 4), spacing_xyz=(0.5, 0.75, 2.0), description=lumbar)), tmp_path / "in" / "l"
    )
    invoke("--model", trained.package, "--input", tmp_path / "in", "--out", tmp_path / "out")
    assert seen == [(load_rules(levels=VERTEBRAE), (60, 4, 4))]


def test_training_cases_that_every_fold_predicted_are_no_cross_validation(trained, predicted, tmp_path):
    from cspine.cli.evaluate import command as evaluate

    def evaluated(folder):
        words = ["--dataset", str(trained.dataset), "--prediction", str(folder), "--subsets", "training"]
        return CliRunner().invoke(evaluate, words, catch_exceptions=False)

    assert "warning" not in evaluated(predicted).stderr
    invoke("--model", trained.package, "--input", trained.dataset / "imagesTr", "--out", tmp_path / "leaked")
    with raises_code(SplitError, 4):
        evaluated(tmp_path / "leaked")


def test_a_label_image_among_the_images_is_no_ct(pictures, trained, tmp_path):
    shutil.copy(trained.dataset / "labelsTs" / "case_5.nii.gz", pictures / "other_seg.nii.gz")
    with raises_code(SomeStudiesFailedError, 1, 3):
        invoke("--model", trained.package, "--input", pictures, "--out", tmp_path / "out")
    assert "CS-PIX-004" in rows_of(tmp_path / "out")["other_seg"]["error"]
