"""An audit of phantom cases: cases found, checked, kept, and not done twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cspine.core.errors import DeviceError, InferenceError, OutOfMemoryError, OutputError
from cspine.inference.settings import InferenceSettings, Precision
from cspine.io import nifti
from cspine.study.audits import audit
from cspine.study.audits.anatomy_checks import CheckOutcome
from cspine.study.audits.audit import AuditFolder, AuditRecord, AuditSettings
from cspine.study.audits.audit_cases import find_cases
from tests.builders.audit_cases import NECK, ORGANS, StandIn, done, stand_in, tiny_package, write_case

__all__ = ["done", "stand_in"]


def test_a_neck_passes_and_is_kept(done: tuple[Path, AuditRecord]) -> None:
    folder, record = done
    assert not record.failed and not record.error, record.failed
    assert record.span == "C1-T1" and record.ordered_and_complete
    assert record.outcome("cord_ring") is record.outcome("larynx") is CheckOutcome.PASS
    assert record.outcome("agreement") is record.outcome("mandible") is CheckOutcome.NOT_APPLICABLE
    labels = nifti.read_labels(folder / "out/labels/a.nii.gz")
    assert set(np.unique(labels.labels_zyx)) == set(range(9)) and labels.grid.is_close(NECK.grid())
    assert nifti.read_labels(folder / "out/auxiliary/a.nii.gz").labels_zyx.any()
    assert AuditRecord.model_validate_json((folder / "out/cases/a.json").read_text()) == record


def test_a_case_is_done_again_only_where_something_changed(done: tuple[Path, AuditRecord], stand_in: StandIn) -> None:
    folder, record = done
    case, package, kept = find_cases(folder, folder)[0], tiny_package(folder / "again"), AuditFolder(folder / "out")
    assert audit.audit_case(case, package, ORGANS, kept) == record
    assert stand_in.asked == 1
    audit.audit_case(case, package, ORGANS, kept, recompute=True)
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
    assert check.outcome is CheckOutcome.PASS, check
    assert record.agreement_min is not None and record.agreement_min > 0.8
    assert all(level.agreement_mean is not None for level in record.levels)


def test_a_file_that_cannot_be_read_is_an_error_of_its_case(tmp_path: Path, stand_in: StandIn) -> None:
    (tmp_path / "a_ct.nii.gz").write_bytes(b"")
    record = audit.audit_case(find_cases(tmp_path)[0], tiny_package(tmp_path), ORGANS, AuditFolder(tmp_path / "out"))
    assert "CS-IN-001" in record.error and not record.ordered_and_complete
    assert not (tmp_path / "out").exists()
    assert stand_in.asked == 0


@pytest.mark.parametrize("error", [OutOfMemoryError("full"), InferenceError("no"), MemoryError()])
def test_a_case_on_which_the_network_fails_is_an_error_of_its_own(
    tmp_path: Path, stand_in: StandIn, error: BaseException
) -> None:
    write_case(tmp_path, "a")
    case, package, kept = find_cases(tmp_path)[0], tiny_package(tmp_path), AuditFolder(tmp_path / "out")
    stand_in.fails_with = error
    record = audit.audit_case(case, package, ORGANS, kept)
    assert record.error.startswith("[CS-INF-00") and not kept.records.path("a").exists()
    assert not audit.audit_case(case, package, ORGANS, kept).error


def test_what_would_fail_for_every_case_stops(tmp_path: Path, stand_in: StandIn) -> None:
    write_case(tmp_path, "a")
    case, package, kept = find_cases(tmp_path)[0], tiny_package(tmp_path), AuditFolder(tmp_path / "out")
    for error in (DeviceError("no card"), OutputError("full")):
        stand_in.fails_with = error
        with pytest.raises(type(error)):
            audit.audit_case(case, package, ORGANS, kept)
    with pytest.raises(DeviceError):
        audit.audit_case(case, package, replace(ORGANS, inference=InferenceSettings(device="cuda:99")), kept)


def test_the_key_follows_the_code_and_where_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_case(tmp_path, "a")
    case, package = find_cases(tmp_path)[0], tiny_package(tmp_path)

    def key(precision: Precision = "auto") -> str:
        settings = replace(ORGANS, inference=InferenceSettings(device="cpu", precision=precision))
        return audit.key_of(case, package, settings)

    keys = {key(), key("float32"), key("bfloat16")}
    assert len(keys) == 2  # "auto" is float32 on a CPU
    monkeypatch.setattr(audit, "_engine", lambda device, precision: ("cuda", "float16"))
    keys.add(key())
    monkeypatch.setattr(audit, "RESULT_VERSION", audit.RESULT_VERSION + 1)
    keys.add(key())
    assert len(keys) == 4


def test_the_document_has_a_row_for_each_check() -> None:
    document = (Path(__file__).parents[3] / "docs" / "guide" / "evaluation.md").read_text("utf-8")
    table = document.partition("| check |")[2].partition("\n\n")[0].splitlines()[2:]
    assert [line.split("`")[1] for line in table] == list(audit.CHECK_NAMES)
