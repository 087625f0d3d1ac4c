"""The tables, as `cspine compare` and a person read them."""

from __future__ import annotations

import csv
from pathlib import Path

from cspine.core.anatomy import CERVICAL_LEVELS
from cspine.core.findings import TRUNCATED
from cspine.core.volumes import LabelVolume
from cspine.study.evaluation.evaluation import CaseResult, compare
from cspine.study.evaluation.evaluation_tables import TABLES, write_tables
from cspine.study.evaluation.pairing import EvaluationCase
from tests.builders.evaluation_cases import case_of, false_level, missed_level, score_of
from tests.builders.spine_phantom import Phantom, draw


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def written(folder: Path, *results: CaseResult) -> Path:
    cases = [
        EvaluationCase(
            r.case,
            reference=Path("r.nii.gz"),
            prediction=Path("p") / r.case,
            reference_scheme="nnunet",
            prediction_scheme="spineps",
        )
        for r in results
    ]
    write_tables(cases, results, CERVICAL_LEVELS, folder)
    return folder


def test_a_row_a_case_and_level_in_the_order_that_was_agreed(tmp_path: Path) -> None:
    case = case_of(
        "a", score_of("C1", 0.91234567, 1.5), missed_level("C2"), false_level("C3"), subset="training", fold=2
    )
    lines = (written(tmp_path, case) / "scores.csv").read_text().splitlines()
    assert lines == [
        "case,level,subset,fold,dice,hd95_mm,assd_mm,reference_ml,predicted_ml,volume_error_ml,predicted_level,identified,"
        "centroid_distance_mm,given_to_neighbour",
        "a,C1,training,2,0.9123,1.5000,0.7500,10.0000,11.0000,1.0000,C1,yes,0.5000,0.0200",
        "a,C2,training,2,0.0000,,,10.0000,0.0000,-10.0000,missed,no,,0.0000",
        "a,C3,training,2,0.0000,,,0.0000,5.0000,5.0000,,,,",
    ]


def test_files_with_their_schemes(tmp_path: Path) -> None:
    (row,) = rows_of(written(tmp_path, case_of("a")) / "files.csv")
    here = Path.cwd()
    assert row == {
        "case": "a", "image": "", "reference": str(here / "r.nii.gz"), "reference_scheme": "nnunet",
        "prediction": str(here / "p" / "a"), "prediction_scheme": "spineps",
    }  # fmt: skip


def test_a_row_a_case(tmp_path: Path) -> None:
    affine, truth = Phantom().grid().affine_lps, draw(Phantom())
    found = truth.copy()
    found[truth == 3], found[truth == 5] = 4, 0
    result = compare("a", LabelVolume(truth, affine), LabelVolume(found, affine), (TRUNCATED.about("x"),))
    bad = CaseResult("c", (), (), None, error="[CS-DAT-002] why")
    first, second, third = rows_of(written(tmp_path, result, case_of("b", false_level("C4")), bad) / "cases.csv")
    assert (first["wrong_levels"], first["missed_levels"], first["findings"]) == ("C3:C4", "C5", "CS-FND-001")
    assert (first["wrong_without_finding"], first["ok"], first["level_accuracy"]) == ("yes", "no", "0.750")
    assert float(first["identification_rate"]) < 1
    assert (second["wrong_without_finding"], second["findings"], second["false_levels"]) == ("n/a", "n/a", "C4")
    assert (third["error"], third["ok"], third["mean_dice"]) == ("[CS-DAT-002] why", "no", "")


def test_a_row_a_level_for_all_and_for_each_subset(tmp_path: Path) -> None:
    results = [
        case_of("a", score_of("C1", 0.9, 1.0), missed_level("C2"), subset="training"),
        case_of("b", score_of("C1", 0.7, 3.0), subset="external"),
    ]
    rows = rows_of(written(tmp_path, *results) / "levels.csv")
    assert [(row["subset"], row["level"]) for row in rows][:4] == [
        ("all", "C1"), ("all", "C2"), ("all", "[C1,T1]"), ("all", "[C1,T1] case means"),
    ]  # fmt: skip
    assert {row["subset"] for row in rows} == {"all", "training", "external"}
    c1, c2 = rows[:2]
    assert (c1["dice_n"], c1["dice_mean"], c1["dice_sd"], c1["dice_lowest"]) == ("2", "0.8000", "0.1414", "0.7000")
    assert (c1["hd95_mm_median"], c1["volume_error_ml_mean"], c1["missed"]) == ("2.0000", "1.0000", "0")
    assert (c1["given_to_neighbour_median"], c1["given_to_neighbour_p95"]) == ("0.0200", "0.0200")
    assert (c2["hd95_mm_n"], c2["hd95_mm_mean"], c2["missed"], c2["identification_rate"]) == ("0", "", "1", "0.0000")


def test_the_tables_are_those_that_the_folder_expects(tmp_path: Path) -> None:
    assert {path.name for path in written(tmp_path, case_of("a")).iterdir()} == set(TABLES)
