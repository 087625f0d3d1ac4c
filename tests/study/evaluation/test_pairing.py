"""Which files belong together, in the layouts of cspine, nnU-Net and other systems."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cspine.core.errors import DatasetError, InputError, UsageError
from cspine.study.datasets.case_table import CaseRow, Subset, write_cases
from cspine.study.datasets.dataset_folder import DatasetFolder
from cspine.study.evaluation.pairing import EvaluationCase, Inputs, find_cases, unread_references
from cspine.study.label_sets import label_set
from tests.builders.raises import raises_code


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def found(inputs: Inputs, out: Path | None = None, **options: bool) -> dict[str, EvaluationCase]:
    return {case.name: case for case in find_cases(inputs, out, **options)}


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    touch(tmp_path / "r" / "a.nii.gz", tmp_path / "r" / "b.nii.gz", tmp_path / "r" / "._a.nii.gz")
    return tmp_path / "r"


@pytest.mark.parametrize(
    ("name", "scheme"),
    [
        ("{}.nii.gz", "verse"), ("{}_0000.nii.gz", "verse"), ("{}_seg.nii.gz", "verse"),
        ("{}_0000_seg.nii.gz", "verse"), ("{}/labels.nii.gz", "verse"), ("{}/vertebrae_C1.nii.gz", "masks"),
        ("{}/segmentations/vertebrae_C1.nii.gz", "masks"), ("{}_0000/vertebrae_C1.nii.gz", "masks"),
    ],
)  # fmt: skip
def test_names_of_predictions(reference: Path, tmp_path: Path, name: str, scheme: str) -> None:
    files = [tmp_path / "p" / name.format(case) for case in "ab"]
    touch(*files)
    cases = found(Inputs(reference, prediction=tmp_path / "p"))
    expected = files if scheme == "verse" else [file.parent for file in files]
    assert [case.prediction for case in cases.values()] == expected and list(cases) == ["a", "b"]
    assert {case.prediction_scheme for case in cases.values()} == {scheme}
    assert cases["a"].reference == reference / "a.nii.gz" and cases["a"].reference_scheme == "verse"


def test_a_run_of_a_nifti_file_is_a_prediction_and_a_reference(reference: Path, tmp_path: Path) -> None:
    runs = {place: [tmp_path / place / case / "report" / "labels.nii.gz" for case in "ab"] for place in "pq"}
    touch(*(path for files in runs.values() for file in files for path in (file, file.with_name("summary.json"))))
    for place in (reference, tmp_path / "q"):
        cases = found(Inputs(place, prediction=tmp_path / "p"))
        assert [case.prediction for case in cases.values()] == runs["p"]
        assert {case.prediction_scheme for case in cases.values()} == {"verse"}
    assert [case.reference for case in cases.values()] == runs["q"] and list(cases) == ["a", "b"]


def test_runs_with_a_segmentation_and_with_nifti_labels_are_references_side_by_side(tmp_path: Path) -> None:
    segmentation, labels = tmp_path / "r/a/dicom/segmentation.dcm", tmp_path / "r/b/report/labels.nii.gz"
    touch(segmentation, labels, *(tmp_path / "p" / f"{case}.nii.gz" for case in "ab"))
    cases = found(Inputs(tmp_path / "r", prediction=tmp_path / "p"))
    assert [(case.reference, case.reference_scheme) for case in cases.values()] == [
        (segmentation, "dicom-seg"),
        (labels, "verse"),
    ]


def test_the_references_themselves_are_no_predictions(reference: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        found(Inputs(reference, prediction=reference))
    (tmp_path / "link").symlink_to(reference)
    with pytest.raises(UsageError):
        found(Inputs(reference, prediction=tmp_path / "link"))
    touch(tmp_path / "p" / "a.nii.gz")
    (tmp_path / "p" / "b.nii.gz").symlink_to(reference / "b.nii.gz")
    with pytest.raises(UsageError):
        found(Inputs(reference, prediction=tmp_path / "p"))


def test_two_predictions_of_a_case_are_refused(reference: Path, tmp_path: Path) -> None:
    """VerSe's older layout, for one: the image is NAME.nii.gz, and its labels are NAME_seg.nii.gz."""
    touch(*(tmp_path / "p" / f"{case}{ending}" for case in "ab" for ending in (".nii.gz", "_seg.nii.gz")))
    with raises_code(InputError, "a", 2, "a.nii.gz, a_seg.nii.gz"):
        found(Inputs(reference, prediction=tmp_path / "p"))
    cases = found(Inputs(reference, prediction=tmp_path / "p", pattern="{case}_seg.nii.gz"))
    assert cases["a"].prediction == tmp_path / "p" / "a_seg.nii.gz"


def test_a_pattern_names_predictions(reference: Path, tmp_path: Path) -> None:
    touch(*(tmp_path / "p" / case / f"{case}_seg-vert_msk.nii.gz" for case in "ab"))
    pattern = "{case}/{case}_seg-vert_msk.nii.gz"
    inputs = Inputs(reference, prediction=tmp_path / "p", pattern=pattern, prediction_scheme="spineps")
    cases = found(inputs)
    assert cases["b"].prediction == tmp_path / "p/b/b_seg-vert_msk.nii.gz" and cases["b"].prediction_scheme == "spineps"
    with raises_code(InputError, 2, 2):
        find_cases(replace(inputs, pattern="x{case}.nii.gz"), None)


def test_a_pattern_that_names_one_file_for_all_cases_is_refused(reference: Path, tmp_path: Path) -> None:
    touch(tmp_path / "p" / "labels.nii.gz")
    with raises_code(UsageError, "labels.nii.gz"):
        find_cases(Inputs(reference, prediction=tmp_path / "p", pattern="labels.nii.gz"), None)


def test_absent_predictions_are_reported_or_allowed(reference: Path, tmp_path: Path) -> None:
    touch(tmp_path / "p" / "a.nii.gz")
    inputs = Inputs(reference, prediction=tmp_path / "p")
    with raises_code(InputError, 1, 2) as refused:
        find_cases(inputs, None)
    assert "the first one absent is b.nii.gz" in refused.value.advice and "`allow_missing`" in refused.value.advice
    cases = found(inputs, allow_missing=True)
    assert (cases["a"].lacking, cases["b"].lacking, cases["b"].prediction) == ("", "b.nii.gz", None)


def test_images_are_for_a_model_or_for_pictures(reference: Path, tmp_path: Path) -> None:
    touch(*(tmp_path / name for name in ("i/a_0000.nii.gz", "i/b/ct.nii.gz", "p/a.nii.gz", "p/b.nii.gz")))
    cases = found(Inputs(reference, images=tmp_path / "i"), tmp_path / "out")
    assert cases["b"].image == tmp_path / "i/b/ct.nii.gz" and cases["b"].prediction == tmp_path / "out/labels/b.nii.gz"
    (tmp_path / "i/b/ct.nii.gz").unlink()
    cases = found(Inputs(reference, prediction=tmp_path / "p", images=tmp_path / "i"))
    assert (cases["a"].image, cases["b"].image) == (tmp_path / "i/a_0000.nii.gz", None)
    with raises_code(InputError, 1, 2, "image"):
        find_cases(Inputs(reference, images=tmp_path / "i"), None, allow_missing=True)


def test_references_of_totalsegmentator(tmp_path: Path) -> None:
    masks = tmp_path / "data" / "s0000" / "segmentations"
    touch(masks / "vertebrae_C1.nii.gz", tmp_path / "data" / "s0001" / "x.txt", tmp_path / "p" / "s0000.nii.gz")
    touch(tmp_path / "data" / "s0000" / "ct.nii.gz")
    for scheme in (None, "masks"):
        inputs = Inputs(tmp_path / "data", prediction=tmp_path / "p", images=tmp_path / "data", reference_scheme=scheme)
        (case,) = find_cases(inputs, None)
        assert (case.name, case.reference, case.reference_scheme) == ("s0000", masks, "masks")
        assert case.image == tmp_path / "data" / "s0000" / "ct.nii.gz"


def test_references_that_are_not_read_are_named(tmp_path: Path) -> None:
    touch(*(tmp_path / "r" / name for name in ("a.dcm", "b/1.dcm", "b/2.dcm", "c/segmentation.dcm", "summary.json")))
    touch(tmp_path / "r/records/a.json", tmp_path / "r/d/vertebrae_C1.nii.gz", tmp_path / "r/e.nii.gz")
    nifti, segs = Inputs(tmp_path / "r"), Inputs(tmp_path / "r", reference_scheme="dicom-seg")
    (of_nifti,), (of_segs,) = unread_references(nifti), unread_references(segs)
    assert of_nifti.startswith("4 ") and "a.dcm, b, c, d" in of_nifti
    assert of_segs.startswith("3 ") and "b, d, e.nii.gz" in of_segs
    (tmp_path / "r/e.nii.gz").unlink()
    (of_any,) = unread_references(nifti)
    assert of_any.startswith("2 ") and "b, d" in of_any
    assert unread_references(Inputs(dataset=tmp_path)) == []


def test_no_reference_is_an_error(tmp_path: Path) -> None:
    with raises_code(InputError, tmp_path):
        find_cases(Inputs(tmp_path, prediction=tmp_path), None)


# --- datasets ---------------------------------------------------------------------------------------------------------


def row(case: str, subset: Subset, fold: int | None = None, excluded: str = "") -> CaseRow:
    return CaseRow(
        case, "VerSe", case, "", None, "", (1, 1, 1), (9, 9, 9), "LPS", ("C1",),
        excluded=excluded, subset=subset, fold=fold,
    )  # fmt: skip


ROWS = [
    row("a", Subset.TRAINING, 0), row("b", Subset.TRAINING, 1), row("c", Subset.INTERNAL), row("d", Subset.EXTERNAL),
    row("e", Subset.UNASSIGNED), row("f", Subset.TRAINING, 2, excluded="doubtful"),
]  # fmt: skip


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    root = tmp_path / "Dataset501_Cervical"
    folder = DatasetFolder(root)
    for case, kind in zip("abcdef", ("Tr", "Tr", "Ts", "Ts", "Excluded", "Excluded"), strict=True):
        touch(*folder.pair(kind, case), tmp_path / "p" / f"{case}.nii.gz")
    write_cases(root / "cases.csv", ROWS)
    folder.write_dataset_json(label_set("cervical"), ROWS)
    (root / "splits_final.json").write_text("[]")
    return root


def test_cases_of_a_dataset_with_their_subsets(dataset: Path) -> None:
    inputs = Inputs(dataset=dataset, prediction=dataset.parent / "p")
    cases = found(inputs)
    assert {name: (case.subset, case.fold) for name, case in cases.items()} == {
        "a": ("training", 0), "b": ("training", 1), "c": ("internal", None), "d": ("external", None),
    }  # fmt: skip
    assert cases["c"].reference == dataset / "labelsTs" / "c.nii.gz" and cases["c"].reference_scheme == "nnunet"
    assert cases["a"].image == dataset / "imagesTr" / "a_0000.nii.gz" and cases["a"].prediction_scheme == "verse"
    assert list(found(replace(inputs, subsets=("external", "internal")))) == ["c", "d"]
    with raises_code(UsageError, "--subsets", "'validation'"):
        find_cases(replace(inputs, subsets=("validation",)), None)
    (dataset / "labelsTs" / "d.nii.gz").unlink()
    with raises_code(DatasetError, 1, 4, "cases.csv"):
        find_cases(inputs, None)


def test_a_dataset_before_its_split_has_no_subsets(dataset: Path) -> None:
    write_cases(dataset / "cases.csv", [row("a", Subset.UNUSED), row("b", Subset.UNUSED)])
    cases = found(Inputs(dataset=dataset, prediction=dataset.parent / "p"))
    assert {case.subset for case in cases.values()} == {""} and list(cases) == ["a", "b"]


def test_a_table_gives_parts_to_a_folder(dataset: Path) -> None:
    inputs = Inputs(dataset / "labelsTr", prediction=dataset.parent / "p", cases=dataset / "cases.csv")
    assert [(case.subset, case.fold) for case in found(inputs).values()] == [("training", 0), ("training", 1)]
    external = replace(inputs, reference=dataset / "labelsTs", subsets=("external",))
    assert found(external).keys() == {"d"} and unread_references(external) == []
    touch(dataset / "labelsTr" / "unknown.nii.gz")
    with raises_code(DatasetError, 1, 3, "cases.csv"):
        find_cases(inputs, None)
    with raises_code(UsageError, "--subsets"):
        find_cases(replace(inputs, cases=None, subsets=("training",)), None)


def test_a_case_of_the_named_subsets_without_a_reference_is_refused(dataset: Path) -> None:
    inputs = Inputs(dataset / "labelsTs", prediction=dataset.parent / "p", cases=dataset / "cases.csv")
    assert found(inputs).keys() == {"c", "d"}, "without subsets, the folder says which cases are evaluated"
    (dataset / "labelsTs" / "d.nii.gz").unlink()
    assert found(replace(inputs, subsets=("internal",))).keys() == {"c"}
    for subsets in (("external",), ("external", "internal")):
        with raises_code(DatasetError, 1, len(subsets), "labelsTs") as refused:
            found(replace(inputs, subsets=subsets))
        assert "absent is d:" in refused.value.advice
