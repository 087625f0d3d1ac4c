"""The output folder of a cohort that may be killed at any moment."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cspine.cohort.folder import CohortFolder, StudyRecord
from cspine.core.errors import CohortError, OutputError, OutputNotEmptyError
from cspine.report.summary import Summary
from tests.builders.cohorts import failed_record, same_results
from tests.builders.raises import raises_code


@pytest.fixture
def folder(tmp_path: Path) -> CohortFolder:
    return CohortFolder(tmp_path / "out")


def done(folder: CohortFolder, single: tuple[Path, Summary], key: str = "k") -> tuple[StudyRecord, Path]:
    """A record with its results, ready to be stored."""
    results = folder.staging / "a-1"
    shutil.copytree(single[0], results)
    return StudyRecord(name="a", key=key, attempts=1, seconds=1.0, summary=single[1]), results


def test_the_clock_of_the_first_call_stays(folder: CohortFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    with folder.locked() as first:
        assert first.iso == "2023-11-14T22:13:20+00:00"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1800000000")
    with folder.locked() as second:
        assert second == first


def test_one_cohort_at_a_time_locks_the_folder(folder: CohortFolder) -> None:
    with folder.locked(), pytest.raises(CohortError), CohortFolder(folder.root).locked():
        pass
    with folder.locked():
        pass


def test_leftovers_of_a_killed_cohort_are_removed(folder: CohortFolder) -> None:
    with folder.locked():
        pass
    (folder.staging / "a-1" / "dicom").mkdir(parents=True)
    with folder.locked():
        assert not folder.staging.exists()


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"command": "cspine audit"}', '{"command": "cspine cohort", "clock": "x"}']
)
def test_a_foreign_folder_is_refused(content: str, folder: CohortFolder) -> None:
    folder.cohort_folder.mkdir(parents=True)
    (folder.cohort_folder / "cohort.json").write_text(content)
    with raises_code(CohortError, "cohort.json"), folder.locked():
        pass
    (folder.cohort_folder / "cohort.json").rename(folder.cohort_folder / "other.json")
    with raises_code(CohortError, "cohort"), folder.locked():
        pass


def test_a_folder_that_cannot_be_written_is_an_error_of_the_output(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError), CohortFolder(tmp_path / "file" / "out").locked():
        pass


def test_a_study_is_done_while_key_and_results_are_the_same(folder: CohortFolder, single: tuple[Path, Summary]) -> None:
    assert folder.cached_record("a", "k") is None
    record, results = done(folder, single)
    folder.store(record, results)
    assert folder.cached_record("a", "k") == record
    assert folder.cached_record("a", "other") is None
    assert same_results(folder.study("a"), single[0])
    (folder.study("a") / "dicom" / "segmentation.dcm").write_bytes(b"cut")
    assert folder.cached_record("a", "k") is None


def test_a_record_without_its_results_does_not_count(folder: CohortFolder, single: tuple[Path, Summary]) -> None:
    """As after a kill between the record and the rename: with no results, or with those of older settings."""
    record, results = done(folder, single)
    folder.store(record, results)
    other = single[1].model_copy(update={"clock": "2030-01-01T00:00:00+00:00"})
    newer = StudyRecord(name="a", key="new", attempts=1, seconds=1.0, summary=other)
    (folder.cohort_folder / "studies" / "a.json").write_text(newer.model_dump_json())
    assert folder.cached_record("a", "new") is None
    shutil.rmtree(folder.study("a"))
    assert folder.cached_record("a", "new") is None
    record, results = done(folder, single, "new")
    folder.store(record, results)
    assert folder.cached_record("a", "new") == record


def test_a_failure_due_to_new_images_removes_earlier_results(
    folder: CohortFolder, single: tuple[Path, Summary]
) -> None:
    folder.store(*done(folder, single))
    folder.store(failed_record("a", "new"), None, discard_previous=True)
    assert not folder.study("a").exists()
    record = folder.cached_record("a", "new")
    assert record is not None and record.outcome == "failed"


def test_another_failure_leaves_earlier_results(folder: CohortFolder, single: tuple[Path, Summary]) -> None:
    folder.store(*done(folder, single))
    folder.store(failed_record("a", "new"), None)
    assert same_results(folder.study("a"), single[0])


@pytest.mark.parametrize("damage", [lambda data: bytes(len(data)), lambda data: data[:-1], None])
def test_damaged_results_are_not_done(
    folder: CohortFolder, single: tuple[Path, Summary], damage: Callable[[bytes], bytes] | None
) -> None:
    with folder.locked():
        folder.store(*done(folder, single))
        assert folder.cached_record("a", "k") is not None
        for output in single[1].outputs:
            path = folder.study("a") / output.file
            content = path.read_bytes()
            path.unlink() if damage is None else path.write_bytes(damage(content))
            assert folder.cached_record("a", "k") is None
            path.write_bytes(content)
        assert folder.cached_record("a", "k") is not None


def test_results_of_a_concurrent_worker_are_replaced(
    folder: CohortFolder, single: tuple[Path, Summary], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that outlived its killed cohort stores the same study at the same time."""
    record, results = done(folder, single)
    rename, races = Path.rename, [None]

    def late(path: Path, target: Path) -> Path:
        if path == results and races:
            races.pop()
            shutil.copytree(single[0], target)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", late)
    folder.store(record, results)
    assert not races
    assert folder.cached_record("a", "k") == record


def test_files_of_the_user_are_never_replaced(folder: CohortFolder, single: tuple[Path, Summary]) -> None:
    shutil.copytree(single[0], folder.study("a"))  # as an earlier `cspine run IN OUT/a` leaves it
    for _ in range(2):
        with pytest.raises(OutputNotEmptyError):
            folder.refuse_foreign("a")
        folder.store(failed_record("a", code=OutputNotEmptyError.code), None)
    assert same_results(folder.study("a"), single[0])


def test_a_foreign_file_prevents_the_replacement_of_results(folder: CohortFolder, single: tuple[Path, Summary]) -> None:
    folder.store(*done(folder, single))
    (folder.study("a") / "report" / "mine.txt").write_text("")
    with pytest.raises(OutputNotEmptyError):
        folder.store(*done(folder, single, "new"))
    assert (folder.study("a") / "report" / "mine.txt").exists()


@pytest.mark.parametrize("name", ["dicom", "report/surfaces/mine.txt", "mine.txt"])
def test_a_foreign_file_anywhere_below_the_folder_of_a_study_is_noticed(
    name: str, folder: CohortFolder, single: tuple[Path, Summary]
) -> None:
    folder.store(*done(folder, single))
    path = folder.study("a") / name
    if name == "dicom":
        shutil.rmtree(path)
    path.parent.mkdir(exist_ok=True)
    path.write_text("")
    with pytest.raises(OutputNotEmptyError):
        folder.refuse_foreign("a")


def test_a_damaged_record_does_not_count(folder: CohortFolder, single: tuple[Path, Summary]) -> None:
    folder.store(*done(folder, single))
    (folder.cohort_folder / "studies" / "a.json").write_text("{}")
    assert folder.read_record("a") is None
    assert folder.cached_record("a", "k") is None
