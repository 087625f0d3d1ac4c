"""`cspine evaluate`: a table that a person reads, tables that a program reads, and pictures."""

import csv
import json
import shutil
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest
from click.testing import CliRunner

from cspine.cli.evaluate import command
from cspine.core.anatomy import CERVICAL_LEVELS
from cspine.core.errors import InputError, OutOfMemoryError, SomeStudiesFailedError, SplitError, UsageError
from cspine.core.geometry import reorientation
from cspine.io import nifti
from cspine.io.tables import write_json
from cspine.pipeline.label_schemes import SCHEME_NAMES
from cspine.study.datasets.case_table import CaseRow, Subset, write_cases
from cspine.study.datasets.dataset_folder import DatasetFolder, kind_of
from cspine.study.evaluation import evaluation_cases
from cspine.study.label_sets import label_set
from cspine.study.prediction.records import PredictionRecord
from tests.builders.audit_cases import NECK, stand_in, write_case
from tests.builders.raises import raises_code
from tests.builders.small_neck import small_neck
from tests.builders.spine_phantom import draw

__all__ = ["stand_in"]

CERVICAL = [level.name for level in CERVICAL_LEVELS]


def invoke(*arguments: object):
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def rows_of(path):
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_a_model_is_scored_on_images(neck_model, tmp_path):
    ct, reference = small_neck()
    nifti.write(tmp_path / "images" / "neck_0000.nii.gz", ct.hu_zyx, ct.affine_lps)
    nifti.write(tmp_path / "labels" / "neck.nii.gz", reference.labels_zyx, reference.affine_lps)
    out = tmp_path / "out"
    images = ("--images", tmp_path / "images", "--model", neck_model)
    output = invoke("--reference", tmp_path / "labels", *images, "--out", out).output
    assert "DEMONSTRATION" in output and "1 case\n" in output and "level accuracy" in output
    rows = rows_of(out / "scores.csv")
    assert [row["level"] for row in rows] == ["C1", "C2", "C3", "C4", "C5", "C6", "C7", "T1"]
    assert all(float(row["dice"]) > 0.6 for row in rows)
    (case,) = rows_of(out / "cases.csv")
    assert (case["case"], case["ok"], case["level_accuracy"]) == ("neck", "yes", "1.000")
    assert case["wrong_without_finding"] == "no"
    assert json.loads((out / "summary.json").read_text())["cases_wrong_without_finding"] == 0
    tables = {"scores.csv", "levels.csv", "cases.csv", "files.csv"}
    assert {path.name for path in out.iterdir()} == {*tables, "summary.json", "sheet.png", "labels"}
    (files,) = rows_of(out / "files.csv")
    assert files["image"] == str(tmp_path / "images" / "neck_0000.nii.gz")
    assert (files["prediction"], files["prediction_scheme"]) == (str(out / "labels" / "neck.nii.gz"), "verse")


def two_folders(tmp_path, change):
    reference = np.zeros((24, 24, 24), dtype=np.uint8)
    reference[2:8, 4:16, 4:16] = 3
    reference[10:16, 4:16, 4:16] = 2
    for folder, labels in (("reference", reference), ("found", change(reference))):
        nifti.write(tmp_path / folder / "a.nii.gz", labels.astype(np.uint8), np.eye(4))
    return "--reference", tmp_path / "reference", "--prediction", tmp_path / "found"


def test_predictions_are_scored_and_a_missing_level_counts_as_zero(tmp_path):
    result = invoke(*two_folders(tmp_path, lambda labels: np.where(labels == 3, 0, labels)), "--out", tmp_path / "out")
    scores = {row["level"]: (row["dice"], row["hd95_mm"]) for row in rows_of(tmp_path / "out" / "scores.csv")}
    assert scores == {"C2": ("1.0000", "0.0000"), "C3": ("0.0000", "")}
    (case,) = rows_of(tmp_path / "out" / "cases.csv")
    assert (case["missed_levels"], case["wrong_levels"], case["ok"]) == ("C3", "", "no")
    assert (case["findings"], case["wrong_without_finding"]) == ("n/a", "n/a")
    assert "0.500 of 2 vertebrae" in result.output
    assert (tmp_path / "out" / "sheet.png").is_file() and not (tmp_path / "out" / "labels").exists()


def test_a_wrong_level_is_counted_without_an_output_folder_too(tmp_path):
    output = invoke(*two_folders(tmp_path, lambda labels: np.where(labels == 3, 4, labels))).output
    lines = {line.split("│")[1].strip(): line.split("│")[2].strip() for line in output.splitlines() if "│" in line}
    assert lines["cases with a wrong level"] == "1" and lines["wrong level without a finding"] == "n/a"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["found", "reference"]


def test_one_of_prediction_and_images_is_needed(tmp_path):
    with pytest.raises(UsageError):
        invoke("--reference", tmp_path)
    with pytest.raises(InputError):
        invoke("--reference", tmp_path, "--prediction", tmp_path)


def test_the_output_is_a_folder(tmp_path):
    with raises_code(UsageError, "--out", "scores.csv"):
        invoke("--reference", tmp_path, "--prediction", tmp_path, "--out", tmp_path / "scores.csv")


def phantom_set(root, *names):
    """Phantom images that the stand-in for a model reads, with their references."""
    for name in names:
        write_case(root / "images", name, cord=False)
        (root / "images" / f"{name}_ct.nii.gz").rename(root / "images" / f"{name}_0000.nii.gz")
        nifti.write(root / "labels" / f"{name}.nii.gz", draw(NECK), NECK.grid().affine_lps)
    return "--reference", root / "labels", "--images", root / "images"


def test_the_reference_is_not_overwritten(tmp_path, stand_in):
    common = phantom_set(tmp_path / "set", "a")
    before = (tmp_path / "set/labels/a.nii.gz").read_bytes()
    for out in (tmp_path / "set", tmp_path / "set" / "images" / ".."):
        with raises_code(UsageError, "--out", "labels/"):
            invoke(*common, "--out", out)
    (tmp_path / "other" / "labels").mkdir(parents=True)
    with raises_code(UsageError, "--out", "labels", "summary.json"):
        invoke(*common, "--out", tmp_path / "other")
    assert stand_in.asked == 0 and (tmp_path / "set/labels/a.nii.gz").read_bytes() == before
    out = tmp_path / "out"
    for _ in range(2):  # its own folder is renewed
        invoke(*common, "--out", out)
    assert stand_in.asked == 2
    with raises_code(UsageError, "--out", "labels/"):
        invoke("--reference", tmp_path / "set/labels", "--prediction", out / "labels", "--out", out)
    for read in ("--reference", tmp_path / "set/labels", "--prediction", out / "labels"), common:
        for folder in read[1::2]:
            with raises_code(UsageError, "--out"):
                invoke(*read, "--out", folder)


def test_the_evaluation_of_other_predictions_is_not_replaced(tmp_path):
    _, reference, _, found = common = two_folders(tmp_path, lambda labels: labels)
    out = tmp_path / "out"
    invoke(*common, "--out", out)
    shutil.copytree(found, tmp_path / "others")
    with raises_code(UsageError, "--out", "cspine evaluate", "predictions"):
        invoke("--reference", reference, "--prediction", tmp_path / "others", "--out", out)
    assert json.loads((out / "summary.json").read_text())["title"] == "found"
    invoke(*common, "--out", out, "--title", "renewed")
    assert json.loads((out / "summary.json").read_text())["title"] == "renewed"


@pytest.mark.parametrize(("codes", "silent"), [([], "yes"), (["CS-FND-004"], "yes"), (["CS-FND-003"], "no")])
def test_findings_of_cspine_predict_report_a_wrong_level(tmp_path, codes, silent):
    common = two_folders(tmp_path, lambda labels: np.where(labels == 3, 4, labels))
    record = PredictionRecord("a", "", "0", "abc", "def", findings=tuple((code, "C4", "Look.") for code in codes))
    write_json(tmp_path / "found/records/a.json", asdict(record))
    write_json(
        tmp_path / "found/summary.json", {"command": "cspine predict", "complete": True, "settings": {"raw": False}}
    )
    output = invoke(*common, "--out", tmp_path / "out").output
    (case,) = rows_of(tmp_path / "out/cases.csv")
    assert (case["findings"], case["wrong_without_finding"]) == (" ".join(codes), silent)
    lines = {line.split("│")[1].strip(): line.split("│")[2].strip() for line in output.splitlines() if "│" in line}
    assert lines["wrong level without a finding"] == str(int(silent == "yes"))


def test_absent_files_are_reported_before_any_work(tmp_path, stand_in):
    common = phantom_set(tmp_path, "a", "b")
    (tmp_path / "images" / "b_0000.nii.gz").unlink()
    with raises_code(InputError, 1, 2) as refused:
        invoke(*common, "--out", tmp_path / "out")
    assert "b_0000.nii.gz" in refused.value.advice
    assert stand_in.asked == 0 and not (tmp_path / "out").exists()
    with raises_code(InputError, 2, 2):
        invoke("--reference", tmp_path / "labels", "--prediction", tmp_path / "found")


def test_a_case_that_fails_does_not_stop_the_others(tmp_path, stand_in):
    common = phantom_set(tmp_path, "a", "b", "c")
    (tmp_path / "images" / "c_0000.nii.gz").write_bytes(b"no image")
    stand_in.fails_with = OutOfMemoryError("full")
    result = CliRunner().invoke(command, [str(argument) for argument in (*common, "--out", tmp_path / "out")])
    assert isinstance(result.exception, SomeStudiesFailedError) and result.exception.exit_code == 11
    assert result.exception.message == "2 of 3 cases failed"
    assert "failed: a [CS-INF-003] full" in result.output and "failed: c [CS-IN-001]" in result.output
    a, b, c = rows_of(tmp_path / "out" / "cases.csv")
    assert (a["error"], a["ok"], a["mean_dice"]) == ("[CS-INF-003] full", "no", "")
    assert (b["error"], b["ok"]) == ("", "yes") and c["error"]
    content = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (content["cases"], content["cases_ok"], list(content["errors"])) == (3, 1, ["a", "c"])
    assert content["complete"] and (tmp_path / "out" / "sheet.png").is_file()


def test_the_sacrum_and_hidden_files_do_no_harm(tmp_path):
    arguments = two_folders(tmp_path, lambda labels: np.where(labels == 3, 26, labels))
    reference = nifti.read_labels(tmp_path / "reference" / "a.nii.gz").labels_zyx.copy()
    reference[20:, 20:, 20:] = 26
    nifti.write(tmp_path / "reference" / "a.nii.gz", reference, np.eye(4))
    (tmp_path / "reference" / "._a.nii.gz").write_bytes(b"")
    invoke(*arguments, "--out", tmp_path / "out")
    (case,) = rows_of(tmp_path / "out" / "cases.csv")
    assert (case["missed_levels"], case["wrong_levels"]) == ("C3", "")


def test_missed_counts_vertebrae_of_the_reference(tmp_path):
    def other(labels):
        found = np.where(labels == 3, 0, labels)
        found[20:, 20:, 20:] = 5
        return found

    output = invoke(*two_folders(tmp_path, other)).output
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in output.splitlines() if line.count("│") == 12]
    counts = {row[0]: tuple(row[-3:-1]) for row in rows}
    assert counts == {
        "C2": ("0", "0"), "C3": ("1", "0"), "C5": ("0", "1"), "[C1,T1]": ("1", "1"), "[C1,T1] case means": ("1", "1"),
    }  # fmt: skip


def test_options_of_a_model_need_images(tmp_path):
    for option in (("--model", "cervical-demo"), ("--device", "cpu")):
        with raises_code(UsageError, option[0], "--prediction"):
            invoke(*two_folders(tmp_path, lambda labels: labels), *option)


# --- other systems, datasets, many cases ------------------------------------------------------------------------------


def neck_references(folder, *names):
    for name in names:
        nifti.write(folder / f"{name}.nii.gz", draw(NECK), NECK.grid().affine_lps)
    return folder


def dice_of(out):
    return {(row["case"], row["level"]): row["dice"] for row in rows_of(out / "scores.csv")}


def test_another_system_in_its_own_numbers_and_orientation(tmp_path):
    reference = neck_references(tmp_path / "r", "a")
    table = np.zeros(256, dtype=np.uint8)
    table[1:10] = range(50, 41, -1)  # C1..T2 of TotalSegmentator v2
    change = reorientation(NECK.grid().affine_lps, "RAS")
    labels = np.ascontiguousarray(change.apply(table[draw(NECK)]))
    labels[0, 0, 0] = 79  # the spinal cord
    nifti.write(tmp_path / "p" / "a.nii.gz", labels, change.grid(NECK.grid()).affine_lps)
    common = ("--reference", reference, "--prediction", tmp_path / "p", "--out", tmp_path / "out")
    invoke(*common, "--prediction-scheme", "totalsegmentator-v2")
    assert dice_of(tmp_path / "out") == {("a", f"{level}"): "1.0000" for level in [*CERVICAL, "T2"]}
    (files,) = rows_of(tmp_path / "out" / "files.csv")
    assert (files["reference_scheme"], files["prediction_scheme"]) == ("verse", "totalsegmentator-v2")
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["title"] == "p"
    assert "warning" not in invoke(*common, "--prediction-scheme", "totalsegmentator-v2").output
    verse = neck_references(tmp_path / "q", "a")
    own = ("--reference", reference, "--prediction", verse, "--prediction-scheme", "totalsegmentator-v2")
    assert "--prediction-scheme" in invoke(*own).output
    result = CliRunner().invoke(command, [str(argument) for argument in common])
    assert "failed: a [CS-DAT-003] a.nii.gz holds 42, 43" in result.output and result.exception.exit_code == 11


def test_a_folder_of_masks_a_case(tmp_path):
    reference = neck_references(tmp_path / "r", "a")
    for level in CERVICAL_LEVELS:  # an empty mask is an answer: not found
        path = tmp_path / "p" / "a" / "segmentations" / f"vertebrae_{level.name}.nii.gz"
        mask = (draw(NECK) == level.label) & (level in CERVICAL_LEVELS[:3])
        nifti.write(path, mask.astype(np.uint8), NECK.grid().affine_lps)
    done = invoke("--reference", reference, "--prediction", tmp_path / "p", "--out", tmp_path / "out", "--title", "TS")
    assert "TS: 1 case\n" in done.output
    assert list(dice_of(tmp_path / "out").values()) == ["1.0000"] * 3 + ["0.0000"] * 5


def small_dataset(root):
    """A dataset of four subsets with network labels, and predictions in VerSe numbers that include T2."""
    dataset = DatasetFolder(root / "Dataset501_Cervical")
    labels = label_set("cervical", auxiliary=True)
    subsets = {
        "a": (Subset.TRAINING, 0),
        "b": (Subset.TRAINING, 1),
        "c": (Subset.INTERNAL, None),
        "d": (Subset.EXTERNAL, None),
    }
    rows = [
        CaseRow(case, "VerSe", case, "", None, "", (2, 2, 2), (1, 1, 1), "LPS", ("C1",), subset=subset, fold=fold)
        for case, (subset, fold) in subsets.items()
    ]
    truth = draw(NECK)
    for row in rows:
        image, labels_path = dataset.pair(kind_of(row), row.case)
        nifti.write(labels_path, labels.to_network(truth), NECK.grid().affine_lps)
        nifti.write(image, (truth * 40).astype(np.int16), NECK.grid().affine_lps)
        found = np.where(truth == 3, 0, truth) if row.case == "d" else truth
        nifti.write(root / "p" / f"{row.case}.nii.gz", found.astype(np.uint8), NECK.grid().affine_lps)
    write_cases(dataset.root / "cases.csv", rows)
    dataset.write_dataset_json(labels, rows)
    (dataset.root / "splits_final.json").write_text("[]")
    return "--dataset", dataset.root, "--prediction", root / "p"


def test_a_dataset_gives_references_images_and_subsets(tmp_path):
    result = invoke(*small_dataset(tmp_path), "--out", tmp_path / "out", "--jobs", 1)
    assert "p, training: 2 cases" in result.output and "p, external: 1 case\n" in result.output
    rows = rows_of(tmp_path / "out" / "scores.csv")
    # T2 and below is no level of the references, so that a model of the whole spine predicts no false level.
    assert {row["level"] for row in rows} == set(CERVICAL)
    assert {(row["case"], row["subset"], row["fold"]) for row in rows} == {
        ("a", "training", "0"), ("b", "training", "1"), ("c", "internal", ""), ("d", "external", ""),
    }  # fmt: skip
    assert dice_of(tmp_path / "out")["d", "C3"] == "0.0000" and dice_of(tmp_path / "out")["a", "C3"] == "1.0000"
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["subsets"]["external"]["missed"] == 1 and summary["subsets"]["training"]["mean_dice"] == 1.0
    files = {row["case"]: row for row in rows_of(tmp_path / "out" / "files.csv")}
    assert files["c"]["image"].endswith("imagesTs/c_0000.nii.gz") and files["c"]["reference_scheme"] == "nnunet"


def test_an_outdated_split_is_refused(tmp_path):
    common = small_dataset(tmp_path)
    (common[1] / "splits_final.json").unlink()  # as `cspine dataset convert` does where the cases changed
    with raises_code(SplitError, "Dataset501_Cervical", "splits_final.json"):
        invoke(*common)


def test_parts_and_levels_are_chosen(tmp_path):
    common = small_dataset(tmp_path)
    invoke(*common, "--out", tmp_path / "out", "--subsets", "external", "--levels", "C2-C4,T1", "--pictures", 0)
    assert list(dice_of(tmp_path / "out")) == [("d", level) for level in ("C2", "C3", "C4", "T1")]
    assert not list((tmp_path / "out").glob("sheet*.png"))
    for levels in ("C4-C2", "X1", "C1-", "T2-L6"):
        with raises_code(UsageError, "--levels"):
            invoke(*common, "--levels", levels)


def test_one_bad_file_among_many_in_processes(tmp_path):
    reference = neck_references(tmp_path / "r", *"abcde")
    found = neck_references(tmp_path / "p", *"abd")
    complete = (found / "a.nii.gz").read_bytes()
    (found / "b.nii.gz").write_bytes(complete[: len(complete) // 2])
    shifted = NECK.grid().affine_lps.copy()
    shifted[:3, 3] += 5
    nifti.write(found / "d.nii.gz", draw(NECK), shifted)
    nifti.write(found / "e.nii.gz", draw(NECK)[1:], NECK.grid().affine_lps)
    common = ("--reference", reference, "--prediction", found, "--jobs", 2, "--out", tmp_path / "out")
    with raises_code(InputError, 1, 5):
        invoke(*common)
    assert not (tmp_path / "out").exists()
    result = CliRunner().invoke(command, [str(argument) for argument in (*common, "--allow-missing")])
    assert "p: 5 cases, 4 of them failed" in result.output
    assert isinstance(result.exception, SomeStudiesFailedError) and result.exception.message == "4 of 5 cases failed"
    errors = {row["case"]: row["error"].partition("]")[0] for row in rows_of(tmp_path / "out" / "cases.csv")}
    assert errors == {"a": "", "b": "[CS-IN-001", "c": "[CS-IN-001", "d": "[CS-DAT-002", "e": "[CS-DAT-002"}
    assert {case for case, _ in dice_of(tmp_path / "out")} == {"a"}
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["complete"]


def test_an_interrupt_leaves_a_folder_that_says_so(tmp_path, monkeypatch):
    common = small_dataset(tmp_path)

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluation_cases, "evaluate_pair", interrupted)
    result = CliRunner().invoke(
        command, [str(argument) for argument in (*common, "--out", tmp_path / "out", "--jobs", 1)]
    )
    assert result.exit_code == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["summary.json"]
    assert not json.loads((tmp_path / "out" / "summary.json").read_text())["complete"]


def test_what_does_not_belong_together_is_refused(tmp_path):
    for options, values in (
        (("--dataset", tmp_path), ("--dataset", "--prediction")),
        (("--reference", tmp_path, "--dataset", tmp_path), ("--reference", "--dataset")),
        (("--prediction", tmp_path), ("--reference", "--dataset")),
        (("--reference", tmp_path, "--images", tmp_path, "--jobs", 2), ("--jobs", "--prediction")),
        (("--dataset", tmp_path, "--prediction", tmp_path, "--images", tmp_path), ("--images", "--dataset")),
        (("--reference", tmp_path, "--prediction", tmp_path, "--prediction-scheme", "mine"), ("'mine'",)),
    ):
        neck_references(tmp_path, "a")
        with raises_code(UsageError, *values):
            invoke(*options)


def test_schemes_are_listed():
    output = invoke("--list-schemes").output
    assert all(name in output for name in SCHEME_NAMES)


def test_help_needs_no_heavy_module():
    code = (
        "import sys; from cspine.cli.main import cli\n"
        "try: cli(['evaluate', '--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit(sorted({'torch', 'monai', 'scipy', 'SimpleITK', 'matplotlib'} & sys.modules.keys()) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "--prediction-scheme" in done.stdout, done.stderr


def test_comparing_labels_needs_no_torch():
    code = (
        "import sys, cspine.study.evaluation.evaluation_cases, cspine.study.evaluation.evaluation_tables\n"
        "sys.exit(sorted({'torch', 'monai', 'matplotlib'} & sys.modules.keys()) or 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_files_that_are_not_compressed_are_reported(tmp_path):
    common = two_folders(tmp_path, lambda labels: labels)
    (tmp_path / "reference" / "b.nii").write_bytes(b"")
    result = CliRunner().invoke(command, [str(argument) for argument in common])
    assert result.exit_code == 0 and "1 file *.nii in reference not read" in result.stderr


def test_references_that_are_not_read_are_named_at_the_terminal_and_in_the_summary(tmp_path):
    common = (*two_folders(tmp_path, lambda labels: labels), "--out", tmp_path / "out")
    (tmp_path / "reference" / "b.dcm").write_bytes(b"")
    result = CliRunner().invoke(command, [str(argument) for argument in common])
    (note,) = json.loads((tmp_path / "out" / "summary.json").read_text())["notes"]
    assert result.exit_code == 0 and "b.dcm" in note and note in result.stderr


def test_a_level_without_its_mask_is_no_missed_level(tmp_path):
    """As after an interrupted run of TotalSegmentator, or one that was asked for fewer levels."""
    reference = neck_references(tmp_path / "r", "a", "b")
    for case in "ab":
        for name in ("C1", "C2", "C3"):
            mask = (draw(NECK) == CERVICAL.index(name) + 1).astype(np.uint8)
            if (case, name) != ("b", "C3"):
                nifti.write(tmp_path / "p" / case / f"vertebrae_{name}.nii.gz", mask, NECK.grid().affine_lps)
    common = ("--reference", reference, "--prediction", tmp_path / "p", "--out", tmp_path / "out")
    with raises_code(SomeStudiesFailedError, 1, 2):
        invoke(*common, "--levels", "C1-C3")
    (a, b) = rows_of(tmp_path / "out" / "cases.csv")
    assert (a["mean_dice"], a["error"]) == ("1.0000", "") and "b has no mask of C3" in b["error"]
    with raises_code(SomeStudiesFailedError, 2, 2):
        invoke(*common)
