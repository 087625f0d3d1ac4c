"""Results appear together, complete, or not at all."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from cspine.core.errors import OutputError, OutputNotEmptyError, UsageError
from cspine.io.output import StudyOutput, foreign_files
from cspine.io.own_files import OwnFiles
from tests.builders.raises import raises_code


def _fill(output: StudyOutput, text: str = "new") -> None:
    (output.staging / "dicom" / "segmentation.dcm").write_text(text)
    (output.staging / "report" / "summary.json").write_text(text)


def _tree(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in sorted(folder.rglob("*")) if p.is_file()}


def _earlier(folder: Path) -> dict[str, str]:
    with StudyOutput(folder) as output:
        _fill(output, "old")
        output.commit()
    return {"dicom/segmentation.dcm": "old", "report/summary.json": "old"}


def test_nothing_appears_before_it_is_committed(tmp_path: Path) -> None:
    with StudyOutput(tmp_path / "deep" / "out") as output:
        _fill(output)
        assert not (output.folder / "dicom").exists()
        assert not (output.folder / "report").exists()
        assert output.staging.parent == output.folder  # one file system: a rename suffices
        output.commit()
        assert _tree(output.folder) == {"dicom/segmentation.dcm": "new", "report/summary.json": "new"}
    assert sorted(p.name for p in (tmp_path / "deep" / "out").iterdir()) == ["dicom", "report"]


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), StudyOutput(tmp_path) as output:
        _fill(output)
        1 / 0  # noqa: B018
    assert list(tmp_path.iterdir()) == []


def test_what_was_never_committed_does_not_appear(tmp_path: Path) -> None:
    with StudyOutput(tmp_path) as output:
        _fill(output)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("part", ["dicom", "report"])
def test_a_folder_with_results_is_refused_and_kept(tmp_path: Path, part: str) -> None:
    (tmp_path / part).mkdir()
    (tmp_path / part / "old").write_text("old")
    with raises_code(OutputNotEmptyError, part), StudyOutput(tmp_path):
        pass
    assert _tree(tmp_path) == {f"{part}/old": "old"}


def test_other_files_of_the_folder_are_kept(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with StudyOutput(tmp_path) as output:
        _fill(output)
        output.commit()
    assert _tree(tmp_path) == {"dicom/segmentation.dcm": "new", "notes.txt": "mine", "report/summary.json": "new"}


@pytest.mark.parametrize("part", ["dicom", "report"])
def test_overwriting_spares_what_cspine_did_not_write(tmp_path: Path, part: str) -> None:
    before = _earlier(tmp_path)
    (tmp_path / part / "slice-1.dcm").write_text("mine")
    with raises_code(OutputNotEmptyError, f"{part}/", 1), StudyOutput(tmp_path, overwrite=True):
        pass
    assert _tree(tmp_path) == before | {f"{part}/slice-1.dcm": "mine"}


def test_overwriting_spares_files_beside_surfaces_and_elements(tmp_path: Path) -> None:
    def fill(output: StudyOutput) -> None:
        _fill(output)
        (output.staging / "report" / "fe").mkdir()
        OwnFiles(output.staging / "report" / "fe", "elements.json", frozenset()).finish(["vertebrae.inp"], {})
        (output.staging / "report" / "fe" / "vertebrae.inp").write_text("model")
        output.commit()

    for _ in range(2):
        with StudyOutput(tmp_path, overwrite=True) as output:
            fill(output)
    (tmp_path / "report" / "fe" / "vertebrae.frd").write_text("solved")
    with raises_code(OutputNotEmptyError, "report/", 1), StudyOutput(tmp_path, overwrite=True):
        pass
    assert (tmp_path / "report" / "fe" / "vertebrae.frd").read_text() == "solved"
    assert foreign_files(tmp_path) == ["report/fe/vertebrae.frd"]


def _with_folders(folder: Path) -> None:
    """Results of an earlier run with surfaces and finite elements, which the report in each folder lists."""
    _earlier(folder)
    for name, report in (("surfaces", "surfaces.json"), ("fe", "elements.json")):
        (folder / "report" / name).mkdir()
        (folder / "report" / name / "C3.stl").write_text("old")
        (folder / "report" / name / report).write_text('{"files": ["C3.stl"]}')


def test_overwriting_replaces_the_folders_of_an_earlier_run(tmp_path: Path) -> None:
    _with_folders(tmp_path)
    with StudyOutput(tmp_path, overwrite=True) as output:
        _fill(output)
        output.commit()
    assert _tree(tmp_path) == {"dicom/segmentation.dcm": "new", "report/summary.json": "new"}


@pytest.mark.parametrize("place", ["report/surfaces/C4.stl", "report/fe/notes/text", "report/fe/C3.stl"])
def test_overwriting_spares_what_no_report_of_a_folder_lists(tmp_path: Path, place: str) -> None:
    _with_folders(tmp_path)
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("mine")
    if place == "report/fe/C3.stl":
        (tmp_path / "report" / "fe" / "elements.json").write_text('{"files": []}')
    before = _tree(tmp_path)
    with raises_code(OutputNotEmptyError, "report/", 1), StudyOutput(tmp_path, overwrite=True):
        pass
    assert _tree(tmp_path) == before


def test_of_two_runs_into_one_folder_the_second_does_not_replace_the_first(tmp_path: Path) -> None:
    with StudyOutput(tmp_path) as second:
        _fill(second)
        before = _earlier(tmp_path)
        with pytest.raises(OutputNotEmptyError):
            second.commit()
    assert _tree(tmp_path) == before


def test_an_interrupt_while_results_are_moved_keeps_the_earlier_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _earlier(tmp_path)
    rename = Path.rename

    def interrupted(self: Path, target: Path) -> Path:
        if target == tmp_path / "dicom" and self.parent.name.startswith(".cspine-") and self.name == "dicom":
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt), StudyOutput(tmp_path, overwrite=True) as output:
        _fill(output)
        output.commit()
    assert _tree(tmp_path) == before


def _killed_run(folder: Path, after: int) -> int:
    """Overwrite results in a process that ends abruptly before one of its renames; return its exit status."""
    pid = os.fork()
    if pid == 0:
        rename, moved = Path.rename, []

        def killed(self: Path, target: Path) -> Path:
            if len(moved) == after:
                os._exit(9)
            moved.append(target)
            return rename(self, target)

        try:
            with StudyOutput(folder, overwrite=True) as output:
                _fill(output)
                Path.rename = killed
                output.commit()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("earlier", [True, False])
@pytest.mark.parametrize("after", range(5))
def test_what_a_killed_run_had_moved_is_put_back_by_the_next(tmp_path: Path, earlier: bool, after: int) -> None:
    before = _earlier(tmp_path) if earlier else {}
    moves = 4 if earlier else 2
    assert _killed_run(tmp_path, after) == (9 if after < moves else 0)
    if after < moves:
        with suppress(OutputNotEmptyError), StudyOutput(tmp_path):
            pass
        assert _tree(tmp_path) == before
    else:
        assert _tree(tmp_path) == {"dicom/segmentation.dcm": "new", "report/summary.json": "new"}


def test_a_signal_while_results_are_moved_waits_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.rename
    with StudyOutput(tmp_path) as output:
        _fill(output)
        signalled = threading.Thread(target=output.discard)

        def slow(self: Path, target: Path) -> Path:
            if not signalled.ident:
                signalled.start()
                signalled.join(timeout=0.2)
            return rename(self, target)

        monkeypatch.setattr(Path, "rename", slow)
        output.commit()
        signalled.join()
    assert _tree(tmp_path) == {"dicom/segmentation.dcm": "new", "report/summary.json": "new"}


def test_overwriting_replaces_earlier_results(tmp_path: Path) -> None:
    _earlier(tmp_path)
    with StudyOutput(tmp_path, overwrite=True) as output:
        _fill(output)
        assert (tmp_path / "dicom" / "segmentation.dcm").read_text() == "old"
        output.commit()
    assert _tree(tmp_path) == {"dicom/segmentation.dcm": "new", "report/summary.json": "new"}


@pytest.mark.parametrize("place", [".", "dicom", "dicom/segmentation.dcm", "report/summary.json"])
def test_results_that_are_read_are_not_replaced(tmp_path: Path, place: str) -> None:
    before = _earlier(tmp_path / "out")
    with pytest.raises(UsageError), StudyOutput(tmp_path / "out", overwrite=True, inputs=(tmp_path / "out" / place,)):
        pass
    assert _tree(tmp_path / "out") == before
    with StudyOutput(tmp_path / "new", overwrite=True, inputs=(tmp_path / "out" / place, None, tmp_path)):
        pass


def test_a_failure_while_overwriting_keeps_the_earlier_results(tmp_path: Path) -> None:
    before = _earlier(tmp_path)
    with pytest.raises(ZeroDivisionError), StudyOutput(tmp_path, overwrite=True) as output:
        _fill(output)
        1 / 0  # noqa: B018
    assert _tree(tmp_path) == before


@pytest.mark.parametrize(
    ("failing", "earlier"),
    [("old-report", True), ("report", True), ("old-dicom", True), ("dicom", True), ("report", False), ("dicom", False)],
)
def test_a_rename_that_fails_leaves_the_folder_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, earlier: bool
) -> None:
    before = _earlier(tmp_path) if earlier else {}
    rename = Path.rename
    failed = []

    def refuse_once(self: Path, target: Path) -> Path:
        if target.name == failing and not failed:
            failed.append(target)
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse_once)
    with StudyOutput(tmp_path, overwrite=True) as output:
        _fill(output)
        with raises_code(OutputError, "No space left"):
            output.commit()
    assert failed
    assert _tree(tmp_path) == before


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with raises_code(OutputError), StudyOutput(tmp_path / "file"):
        pass
    with raises_code(OutputError), StudyOutput(tmp_path / "file" / "out"):
        pass


def test_a_closed_output_has_no_staging(tmp_path: Path) -> None:
    with raises_code(OutputError):
        StudyOutput(tmp_path).commit()
