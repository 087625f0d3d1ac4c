"""`cspine dataset convert`: its output and its files."""

import shutil

import pytest
from click.testing import CliRunner

import cspine
from cspine.cli.dataset import command
from cspine.core.errors import DatasetError, SomeStudiesFailedError, UsageError
from cspine.study.datasets.case_table import read_cases
from cspine.study.datasets.dataset_folder import DatasetFolder
from cspine.study.dry_run import layouts
from tests.builders.public_sets import LADY, MAN, small_case, without
from tests.builders.raises import raises_code
from tests.study.datasets.test_convert import in_process

__all__ = ["in_process"]


def invoke(*arguments: object):
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def convert(tmp_path, *options: object):
    out = tmp_path / "Dataset501_Cervical"
    return invoke("convert", "--out", out, "--label-set", "cervical", "--verse2019", tmp_path / "verse", *options)


def test_doubts_are_proposed_edited_and_decided(tmp_path, in_process):
    ct, labels = small_case()
    layouts.write_verse(tmp_path / "verse", 1, *small_case(), LADY)
    layouts.write_verse(tmp_path / "verse", 2, ct, without(labels, 4), MAN)
    proposal = tmp_path / "exclude.csv"
    output = convert(tmp_path, "--write-exclusions", proposal).output
    assert "2 converted, 0 kept" in output and "1 doubtful case:" in output
    assert proposal.read_text().splitlines()[1] == "verse2019_sub-verse002,missing level: C4"
    edited = proposal.read_text() + "verse2019_sub-verse001,instrumented\n"
    proposal.write_text(edited)
    assert f"{proposal.name} exists" in convert(tmp_path, "--write-exclusions", proposal).output
    assert proposal.read_text() == edited
    output = convert(tmp_path, "--exclude", proposal).output
    assert "0 converted, 2 kept" in output
    dataset = DatasetFolder(tmp_path / "Dataset501_Cervical")
    assert dataset.where("verse2019_sub-verse002") == "Excluded"


def test_the_function_takes_what_the_command_takes(tmp_path, in_process):
    ct, labels = small_case()
    layouts.write_verse(tmp_path / "verse", 1, ct, without(labels, 4), LADY)
    layouts.write_verse(tmp_path / "verse", 2, ct, labels, MAN)
    proposal, out = tmp_path / "exclude.csv", tmp_path / "Dataset501_Cervical"
    folders = cspine.study.Folders(verse2019=tmp_path / "verse")
    for _ in range(2):
        outcome = cspine.study.convert(out, "cervical", folders, write_exclusions=proposal, limit=1)
        assert [row.case for row in outcome.rows] == ["verse2019_sub-verse001"]
        assert proposal.read_text().splitlines()[1] == "verse2019_sub-verse001,missing level: C4"


def test_a_case_that_fails_is_printed_and_sets_the_exit_code(tmp_path, in_process):
    for number in (1, 2):
        layouts.write_verse(tmp_path / "verse", number, *small_case(), LADY)
    next(tmp_path.rglob("sub-verse001_seg-vert_msk.nii.gz")).unlink()
    with raises_code(SomeStudiesFailedError, 1, 2) as failed:
        convert(tmp_path)
    assert failed.value.exit_code == 11 and "failures.csv" in failed.value.advice
    text = (tmp_path / "Dataset501_Cervical" / "failures.csv").read_text()
    assert "verse2019_sub-verse001,CS-DAT-001,no mask" in text


def test_wrong_calls_are_refused_before_anything_is_written(tmp_path):
    with raises_code(DatasetError, tmp_path / "verse"):
        convert(tmp_path)
    with pytest.raises(UsageError):
        invoke("convert", "--out", tmp_path / "Dataset501_Cervical", "--label-set", "cervical")
    with raises_code(UsageError, "--images"):
        invoke("convert", "--out", tmp_path / "D", "--label-set", "cervical", "--msd-colon", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_case_that_is_no_longer_in_its_data_set_is_reported(tmp_path, in_process):
    for number in (1, 2):
        layouts.write_verse(tmp_path / "verse", number, *small_case(), LADY)
    assert "of an earlier call" not in convert(tmp_path).output
    shutil.rmtree(tmp_path / "verse" / "rawdata" / "sub-verse002")
    shutil.rmtree(tmp_path / "verse" / "derivatives" / "sub-verse002")
    output = convert(tmp_path).output
    assert "1 case of an earlier call" in output and "verse2019_sub-verse002" in output


@pytest.mark.parametrize(
    ("table", "value"),
    [
        ("id,Patient,age,sex\nverse001,verse002,,\n", "'Patient'"),
        ("id,patient\nverse001,verse002\nverse001,verse003\n", "'verse001'"),
    ],
)
def test_a_table_of_patients_with_a_slip_is_refused(tmp_path, table, value):
    layouts.write_verse(tmp_path / "verse", 1, *small_case(), LADY)
    (tmp_path / "people.csv").write_text(table)
    with raises_code(DatasetError, "people.csv", value):
        convert(tmp_path, "--demographics", tmp_path / "people.csv")


def test_corrected_levels_are_converted_anew(tmp_path, in_process):
    layouts.write_verse(tmp_path / "verse", 1, *small_case(), LADY)
    convert(tmp_path)
    (row,) = read_cases(tmp_path / "Dataset501_Cervical" / "cases.csv")
    last = row.levels[-1]
    (tmp_path / "levels.csv").write_text(f"case,level,corrected\n{row.case},{last},\n")
    convert(tmp_path, "--corrections", tmp_path / "levels.csv")
    (again,) = read_cases(tmp_path / "Dataset501_Cervical" / "cases.csv")
    assert again.levels == row.levels[:-1]
    convert(tmp_path)
    (kept,) = read_cases(tmp_path / "Dataset501_Cervical" / "cases.csv")
    assert kept.levels == again.levels
    (tmp_path / "none.csv").write_text("case,level,corrected\n")
    convert(tmp_path, "--corrections", tmp_path / "none.csv")
    (restored,) = read_cases(tmp_path / "Dataset501_Cervical" / "cases.csv")
    assert restored.levels == row.levels


def test_a_correction_of_no_case_is_reported(tmp_path, in_process):
    layouts.write_verse(tmp_path / "verse", 1, *small_case(), LADY)
    (tmp_path / "levels.csv").write_text("case,level,corrected\nverse1,C3,C4\n")
    assert "verse1" in convert(tmp_path, "--corrections", tmp_path / "levels.csv").output


def test_help_names_every_command_and_file():
    assert all(name in invoke("--help").output for name in ("convert", "split", "summary"))
    output = invoke("convert", "--help").output
    assert all(
        name in output
        for name in ("cases.csv", "audit.csv", "failures.csv", "--demographics", "docs/guide/datasets.md")
    )
