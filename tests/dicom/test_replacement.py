"""Results are replaced by those of the same patient only."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cspine.core.errors import OutputNotEmptyError
from cspine.dicom.replacement import refuse_other_patient
from cspine.dicom.scan import scan_folder
from tests.builders.ct_series import Stack, build, save_all
from tests.builders.raises import raises_code


def test_results_of_the_same_patient_may_be_replaced_and_of_another_not(tmp_path: Path) -> None:
    of_one = Stack()
    of_other = replace(of_one, description=replace(of_one.description, patient_id="another"))
    save_all(build(of_one), tmp_path / "name" / "dicom")
    save_all(build(of_other), tmp_path / "other")
    (tmp_path / "name" / "dicom" / "damaged.dcm").write_bytes(b"x")
    refuse_other_patient(tmp_path / "name", scan_folder(tmp_path / "name").series[0].patient_key)
    other = scan_folder(tmp_path / "other").series[0].patient_key
    refuse_other_patient(tmp_path / "absent", other)
    with raises_code(OutputNotEmptyError, "name"):
        refuse_other_patient(tmp_path / "name", other)
