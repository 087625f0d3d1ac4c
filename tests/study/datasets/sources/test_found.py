"""Names and tables of patients, before any image is opened."""

import pytest

from cspine.core.errors import DatasetError
from cspine.study.datasets.sources.found import age_of, case_name, read_people, sex_of
from tests.builders.raises import raises_code


def test_case_names_are_fit_for_files():
    assert case_name("ctspine1k", "1.3.6.1") == "ctspine1k_1-3-6-1"
    assert case_name("verse2019", "sub-verse004_dir ax") == "verse2019_sub-verse004_dir-ax"


@pytest.mark.parametrize(
    ("row", "age", "sex"),
    [
        ({"age": "64", "sex": "M"}, 64.0, "M"),
        ({"age": "064Y", "gender": "female"}, 64.0, "F"),
        ({"age": "n/a", "sex": "o"}, None, ""),
        ({"age": "nan"}, None, ""),
        ({"age": "-1", "gender": ""}, None, ""),
        ({"sex": "Male"}, None, "M"),
        ({"sex": "missing"}, None, ""),
        ({"sex": "MTF"}, None, ""),
        ({"gender": "f/m"}, None, ""),
    ],
)
def test_ages_and_sexes_of_tables(row, age, sex):
    assert (age_of(row), sex_of(row)) == (age, sex)


def test_a_table_may_have_short_and_long_rows(tmp_path):
    path = tmp_path / "people.tsv"
    path.write_text("id\tage\na\t5\textra\nb\n")
    assert read_people(path, "id") == {"a": {"id": "a", "age": "5"}, "b": {"id": "b"}}
    for name in ("absent.csv", "."):
        with raises_code(DatasetError, (tmp_path / name).name):
            read_people(tmp_path / name, "id")
    (tmp_path / "twice.csv").write_text("id,age,age\na,5,7\n")
    with raises_code(DatasetError, "twice.csv", 2, 3):
        read_people(tmp_path / "twice.csv", "id")
    (tmp_path / "empty.csv").write_text("")
    with raises_code(DatasetError, "empty.csv", "'id'"):
        read_people(tmp_path / "empty.csv", "id")
