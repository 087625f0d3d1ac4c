import pytest
from pydicom import Dataset

from cspine.dicom.patient import patient_age_years


@pytest.mark.parametrize(
    ("age", "birth", "study", "expected"),
    [
        ("045Y", "", "", 45.0),
        ("006M", "", "", 0.5),
        ("000Y", "20000101", "20200101", 20.0),
        ("000Y", "", "20200101", None),
        ("", "20000101", "20200101", 20.0),
        ("47", "20000101", "20170101", 17.0),
        (None, "2000.01.01", "2020.01.01", 20.0),
        ("", "", "20200101", None),
        ("", "19000101", "20500101", None),
        ("", "ANON", "20200101", None),
    ],
)
def test_age(age: str | None, birth: str, study: str, expected: float | None) -> None:
    header = Dataset()
    header.PatientAge, header.PatientBirthDate, header.StudyDate = age, birth, study
    found = patient_age_years(header)
    assert found == (None if expected is None else pytest.approx(expected, abs=0.01))


def test_an_empty_header_states_nothing() -> None:
    assert patient_age_years(Dataset()) is None
