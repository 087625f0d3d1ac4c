"""The studies of a folder or a list."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cspine.cohort.studies import CohortStudy, count_other_entries, find_studies
from cspine.core.errors import CohortError
from cspine.io.workspace import fingerprint
from tests.builders.raises import raises_code


def test_each_subfolder_and_zip_is_a_study_called_after_it(tmp_path: Path) -> None:
    for name in ("b", "a", ".hidden"):
        (tmp_path / "in" / name).mkdir(parents=True)
    (tmp_path / "in" / "c.ZIP").write_bytes(b"")
    (tmp_path / "in" / "notes.txt").write_text("")
    found = find_studies(tmp_path / "in", tmp_path / "out")
    assert [(study.name, study.source.name) for study in found] == [("a", "a"), ("b", "b"), ("c", "c.ZIP")]


def test_what_is_no_study_is_counted(tmp_path: Path) -> None:
    source = tmp_path / "in"
    for name in ("a", ".hidden"):
        (source / name).mkdir(parents=True)
    assert count_other_entries(source) == 0
    for name in ("b.dcm", "c.tar.gz", "d.zip", ".DS_Store"):
        (source / name).write_bytes(b"")
    (source / "unmounted").symlink_to(tmp_path / "absent")
    assert count_other_entries(source) == 3
    assert count_other_entries(source / "b.dcm") == 0


def test_a_list_has_a_path_a_line_and_counts_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("# of 2024\nct/one\n\n  /far/two.zip \n", encoding="utf-8-sig")
    found = find_studies(tmp_path / "list.txt", tmp_path / "out")
    assert [(study.name, study.source) for study in found] == [
        ("one", tmp_path / "ct" / "one"),
        ("two", Path("/far/two.zip")),
    ]


def test_a_csv_may_give_names(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("name,age,path\nfirst,40,p1/ct\n,50,p2/ct\n")
    found = find_studies(tmp_path / "list.csv", tmp_path / "out")
    assert [(study.name, study.source) for study in found] == [
        ("ct", tmp_path / "p2" / "ct"),
        ("first", tmp_path / "p1" / "ct"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "values"),
    [
        ("list.txt", "p1/ct\np2/ct\n", (1, 2)),
        ("list.txt", "", ()),
        ("list.csv", "place\np1\n", ("'path'",)),
        ("list.csv", "path,name\np1,a\n,x\n", (2,)),
        ("list.csv", "path,name,path\np1,a,p2\n", (1, 3)),
        ("list.csv", "path,name\np1,../x\n", ()),
        ("list.txt", "p1/cohort\n", ("'cohort'",)),
        ("study.zip", "", (".zip",)),
    ],
)
def test_a_list_that_cannot_be_used_is_refused(
    name: str, content: str, values: tuple[object, ...], tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content)
    with raises_code(CohortError, *values):
        find_studies(tmp_path / name, tmp_path / "out")


def test_a_list_that_is_no_text_and_an_input_that_is_not_there_are_refused(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe\x00p")
    with raises_code(CohortError, "UTF-8"):
        find_studies(tmp_path / "list.txt", tmp_path / "out")
    with pytest.raises(CohortError):
        find_studies(tmp_path / "absent", tmp_path / "out")


def test_input_and_output_do_not_overlap(tmp_path: Path) -> None:
    (tmp_path / "in" / "a").mkdir(parents=True)
    for out in (tmp_path, tmp_path / "in", tmp_path / "in" / "a", tmp_path / "in" / "a" / "out"):
        with raises_code(CohortError, 1):
            find_studies(tmp_path / "in", out)


@pytest.mark.parametrize("name", ["", ".a", "a/b", "a\\b", "a\nb", "a\udcff", "x" * 201])
def test_an_invalid_name_is_refused_and_not_quoted(name: str) -> None:
    with pytest.raises(CohortError) as failure:
        CohortStudy(name, Path("/in"))
    assert not name or name not in str(failure.value)


def test_the_fingerprint_changes_with_the_files(tmp_path: Path) -> None:
    study = tmp_path / "study"
    (study / "sub").mkdir(parents=True)
    (study / "sub" / "1.dcm").write_bytes(b"one")
    first = fingerprint([study])
    assert fingerprint([study]) == first
    (study / "2.dcm").write_bytes(b"two")
    second = fingerprint([study])
    os.utime(study / "2.dcm", ns=(1, 1))
    assert len({first, second, fingerprint([study]), fingerprint([tmp_path / "absent"])}) == 4
    (tmp_path / "a.zip").write_bytes(b"x")
    assert fingerprint([tmp_path / "a.zip"]) != fingerprint([tmp_path / "absent"])
