"""Cases of an audit: images distinguished from other files, organs of their own case."""

from __future__ import annotations

from pathlib import Path

import pytest

from cspine.core.errors import InputError, UsageError
from cspine.study.audits.audit_cases import find_cases, parse_organ_labels
from tests.builders.raises import raises_code


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
        (("a_ct.nii.gz", "._a_ct.nii.gz", ".partial-b_ct.nii.gz"), ["a"]),
    ],
)
def test_images_are_distinguished_from_other_files(tmp_path: Path, files: tuple[str, ...], names: list[str]) -> None:
    touch(tmp_path, *files)
    assert [case.name for case in find_cases(tmp_path)] == names


def test_folders_that_make_no_audit_are_refused(tmp_path: Path) -> None:
    with raises_code(InputError, "*.nii.gz", tmp_path):
        find_cases(tmp_path)
    touch(tmp_path, "a_ct.nii.gz")
    with raises_code(InputError, "organs", tmp_path):
        find_cases(tmp_path, tmp_path)
    touch(tmp_path, "a_0000.nii.gz")
    with raises_code(InputError, "a"):
        find_cases(tmp_path)


def test_organs_belong_to_their_case(tmp_path: Path) -> None:
    touch(tmp_path, "a_ct.nii.gz", "b_ct.nii.gz", "b_oar.nii.gz")
    assert [case.organs for case in find_cases(tmp_path, tmp_path)] == [None, tmp_path / "b_oar.nii.gz"]


def test_organ_labels_are_read_and_checked() -> None:
    assert parse_organ_labels("cord=2, larynx=6") == {"cord": 2, "larynx": 6}
    for wrong in ("cord", "heart=3", "cord=x", "cord=0", "cord=300", ""):
        with raises_code(UsageError, repr(wrong)):
            parse_organ_labels(wrong)
