"""Settings of a run are checked where they are made, in Python as on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from cspine.core.errors import UsageError
from cspine.dicom.seg_type import SegType
from cspine.pipeline.settings import RunSettings


@pytest.mark.parametrize(
    "values",
    [
        {"fail_on": ("seriuos",)},
        {"fail_on": ("SERIOUS",)},
        {"fail_on": "CS-FND-0133"},
        {"fail_on": (1,)},
        {"fail_on": 1},
        {"outputs": ("segg",)},
        {"outputs": ("seg", "sumary")},
        {"outputs": ()},
        {"outputs": 1},
        {"confidence": "ful"},
        {"seg_type": "nonsense"},
        {"clock": "2020"},
        {"inference": "cpu"},
        {"surfaces": ("stl",)},
        {"elements": ("vtu",)},
        {"repair_gaps": "no"},
        {"incomplete": None},
        {"solve_levels": 0},
        {"series_uid": 12},
        {"rules_file": 1},
        {"prior": 1},
        {"fail_on": False},
        {"fail_on": 0},
    ],
)
def test_what_is_unknown_or_of_another_type_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        RunSettings(**values)  # type: ignore[arg-type]


def test_names_may_be_given_as_text_or_in_any_sequence() -> None:
    assert RunSettings(fail_on="serious").fail_on == ("serious",)  # type: ignore[arg-type]
    assert RunSettings(fail_on=["CS-FND-003", "serious"]).fail_on == ("CS-FND-003", "serious")  # type: ignore[arg-type]
    assert RunSettings(outputs="nifti,seg").outputs == ("seg", "nifti")  # type: ignore[arg-type]
    assert RunSettings(outputs=["nifti"]).outputs == ("nifti",)  # type: ignore[arg-type]
    assert RunSettings(seg_type="labelmap").seg_type is SegType.LABELMAP  # type: ignore[arg-type]
    assert RunSettings(prior="earlier", rules_file="rules.yaml").prior == Path("earlier")  # type: ignore[arg-type]
    assert (RunSettings().fail_on, RunSettings().outputs) == ((), None)
    assert RunSettings(fail_on=None).fail_on == RunSettings(fail_on="").fail_on == ()  # type: ignore[arg-type]
