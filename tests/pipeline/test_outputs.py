"""The registry of what a run can write."""

from __future__ import annotations

import pytest

from cspine.core.errors import DicomSourceNeededError, UsageError
from cspine.io import output
from cspine.pipeline.outputs import OUTPUTS, chosen_outputs, parse_outputs
from cspine.pipeline.settings import RunSettings


def test_every_output_is_a_file_that_the_output_folder_knows() -> None:
    files = {f"{folder}/{name}" for folder, names in output._FILES.items() for name in names}
    others = {name for name in files if name.startswith("dicom/surface-")}  # of the output surfaces
    others |= {f"report/{output.MEASURED}"}  # of `cspine measure`
    assert {file for each in OUTPUTS for file in each.files} == files - others
    assert len({each.name for each in OUTPUTS}) == len(OUTPUTS)


def test_names_are_sorted_and_others_refused() -> None:
    assert parse_outputs(" Summary, seg,seg") == ("seg", "summary")
    for text in ("", ",", "seg,docx"):
        with pytest.raises(UsageError):
            parse_outputs(text)


@pytest.mark.parametrize(
    ("has_dicom", "names"),
    [(True, ["seg", "sr", "preview", "report", "summary"]), (False, ["nifti", "preview", "report", "summary"])],
)
def test_the_source_decides_what_is_usual(has_dicom: bool, names: list[str]) -> None:
    assert [each.name for each in chosen_outputs(None, has_dicom=has_dicom)] == names


def test_a_dicom_object_needs_a_dicom_series() -> None:
    assert [each.name for each in chosen_outputs(("nifti", "seg"), has_dicom=True)] == ["seg", "nifti"]
    with pytest.raises(DicomSourceNeededError):
        chosen_outputs(("nifti", "seg"), has_dicom=False)


def test_outputs_change_no_uid() -> None:
    assert RunSettings(outputs=("nifti",)).as_text() == RunSettings().as_text()
