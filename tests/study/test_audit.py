"""An audit of phantom cases: cases found, checked, kept, and not done twice."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cspine import images
from cspine.errors import InputError, UsageError
from cspine.study import audit
from cspine.study.anatomy_checks import Verdict
from cspine.study.audit import AuditFolder, AuditSettings, CaseRecord, find_cases
from tests.builders.audit_cases import NECK, StandIn, stand_in, tiny_package, write_case

__all__ = ["stand_in"]
ORGANS = AuditSettings(agreement=False, organ_labels={"cord": 2, "larynx": 6})


def touch(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"")


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (("b_0000.nii.gz", "a_0000.nii.gz", "a.nii.gz"), ["a", "b"]),
        (("p_1_ct.nii.gz", "p_1_oar.nii.gz", "p_1_dose.nii.gz"), ["p_1"]),
        (("x.nii.gz", "y.nii.gz", "x_oar.nii.gz", "z.txt"), ["x", "y"]),
    ],
)
def test_images_are_told_from_other_files(tmp_path: Path, files: tuple[str, ...], names: list[str]) -> None:
    touch(tmp_path, *files)
    assert [case.name for case in find_cases(tmp_path)] == names


def test_folders_that_make_no_audit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no CT image"):
        find_cases(tmp_path)
    touch(tmp_path, "a_ct.nii.gz")
    with pytest.raises(InputError, match="no case has organs"):
        find_cases(tmp_path, tmp_path)
    touch(tmp_path, "a_0000.nii.gz")
    with pytest.raises(InputError, match="two images of one case: a"):
        find_cases(tmp_path)


def test_organs_belong_to_their_case(tmp_path: Path) -> None:
    touch(tmp_path, "a_ct.nii.gz", "b_ct.nii.gz", "b_oar.nii.gz")
    assert [case.organs for case in find_cases(tmp_path, tmp_path)] == [None, tmp_path / "b_oar.nii.gz"]


def test_organ_labels_are_read_and_checked() -> None:
    assert audit.parse_organ_labels("cord=2, larynx=6") == {"cord": 2, "larynx": 6}
    for wrong in ("cord", "heart=3", "cord=x", "cord=0", "cord=300", ""):
        with pytest.raises(UsageError, match="organ label"):
            audit.parse_organ_labels(wrong)


@pytest.fixture
def done(tmp_path: Path, stand_in: StandIn) -> tuple[Path, CaseRecord]:
    write_case(tmp_path, "a")
    case = find_cases(tmp_path, tmp_path)[0]
    return tmp_path, audit.audit_case(case, tiny_package(tmp_path), ORGANS, AuditFolder(tmp_path / "out"))


def test_a_neck_passes_and_is_kept(done: tuple[Path, CaseRecord]) -> None:
    folder, record = done
    assert not record.failed and not record.error, record.failed
    assert record.span == "C1-T1" and record.ordered_and_complete
    assert record.verdict("cord_ring") is record.verdict("larynx") is Verdict.PASS
    assert record.verdict("agreement") is record.verdict("mandible") is Verdict.NOT_APPLICABLE
    labels = images.read_labels(folder / "out/labels/a.nii.gz")
    assert set(np.unique(labels.labels_zyx)) == set(range(9)) and labels.grid.is_close(NECK.grid())
    assert images.read_labels(folder / "out/auxiliary/a.nii.gz").labels_zyx.any()
    assert CaseRecord.model_validate_json((folder / "out/cases/a.json").read_text()) == record


def test_a_case_is_done_again_only_where_something_changed(done: tuple[Path, CaseRecord], stand_in: StandIn) -> None:
    folder, record = done
    case, package, kept = find_cases(folder, folder)[0], tiny_package(folder / "again"), AuditFolder(folder / "out")
    assert audit.audit_case(case, package, ORGANS, kept) == record
    assert stand_in.asked == 1
    audit.audit_case(case, package, ORGANS, kept, anew=True)
    audit.audit_case(case, tiny_package(folder, seed=1), ORGANS, kept)
    audit.audit_case(case, tiny_package(folder, seed=2), replace(ORGANS, organ_labels={"cord": 2}), kept)
    assert stand_in.asked == 4
    (folder / "out/labels/a.nii.gz").unlink()
    audit.audit_case(case, tiny_package(folder, seed=3), ORGANS, kept)
    assert stand_in.asked == 5
    write_case(folder, "a", lost=4)
    assert [c.name for c in audit.audit_case(case, package, ORGANS, kept).failed][:2] == ["order", "complete"]


def test_agreement_is_measured_on_three_changed_images(tmp_path: Path, stand_in: StandIn) -> None:
    write_case(tmp_path, "a", cord=False)
    case = find_cases(tmp_path)[0]
    record = audit.audit_case(case, tiny_package(tmp_path), AuditSettings(), AuditFolder(tmp_path / "out"))
    assert stand_in.asked == 4
    check = next(check for check in record.checks if check.name == "agreement")
    assert check.verdict is Verdict.PASS, check
    assert record.agreement_min is not None and record.agreement_min > 0.8
    assert all(level.agreement_mean is not None for level in record.levels)


def test_a_file_that_cannot_be_read_is_an_error_of_its_case(tmp_path: Path, stand_in: StandIn) -> None:
    touch(tmp_path, "a_ct.nii.gz")
    record = audit.audit_case(find_cases(tmp_path)[0], tiny_package(tmp_path), ORGANS, AuditFolder(tmp_path / "out"))
    assert "CS-IN-001" in record.error and not record.ordered_and_complete
    assert not (tmp_path / "out").exists()
    assert stand_in.asked == 0


def test_tables_and_summary_count_every_case(done: tuple[Path, CaseRecord]) -> None:
    folder, record = done
    broken = CaseRecord(case="b", key="", model="m", checksum="c", seconds=0, error="[CS-IN-001] no")
    audit.write_tables([record, broken], folder)
    with (folder / "audit.csv").open(newline="") as lines:
        first, second = csv.DictReader(lines)
    assert (first["case"], first["levels_found"], first["order"], first["agreement"]) == ("a", "C1-T1", "pass", "n/a")
    assert (second["error"], second["order"]) == ("[CS-IN-001] no", "")
    with (folder / "levels.csv").open(newline="") as lines:
        levels = list(csv.DictReader(lines))
    assert [row["level"] for row in levels] == ["C1", "C2", "C3", "C4", "C5", "C6", "C7", "T1"]
    assert float(levels[2]["to_next_mm"]) == pytest.approx(18, abs=1) and levels[2]["agreement_mean"] == ""
    told = audit.summary([record, broken], tiny_package(folder, seed=9), ORGANS)
    assert told["ordered_and_complete_share"] == audit.ordered_share([record, broken]) == 0.5
    assert told["checks"]["order"]["pass"] == 1 and told["errors"] == {"b": "[CS-IN-001] no"}


def test_rows_of_the_sheet_say_what_failed(done: tuple[Path, CaseRecord]) -> None:
    folder, record = done
    case = find_cases(folder, folder)[0]
    failing = record.model_copy(
        update={
            "checks": (*record.checks[1:], record.checks[0].model_copy(update={"verdict": Verdict.FAIL, "note": "C4"}))
        }
    )
    broken = CaseRecord(case="a", key="", model="m", checksum="c", seconds=0, error="no")
    rows = list(audit.sheet_rows([case] * 3, [record, failing, broken], ORGANS, AuditFolder(folder / "out")))
    assert [row.good for row in rows] == [True, False, False]
    assert rows[0].headline == "C1-T1: passes" and rows[0].outline_zyx is not None and rows[0].outline_zyx.any()
    assert rows[1].headline == "C1-T1: fails order" and rows[1].lines[0] == "- order: C4"
    assert rows[2].labels is None and rows[2].lines == ("no",)


def test_the_document_has_a_row_for_each_check() -> None:
    document = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text("utf-8")
    table = document.partition("| check |")[2].partition("\n\n")[0].splitlines()[2:]
    assert [line.split("`")[1] for line in table] == list(audit.CHECK_NAMES)
