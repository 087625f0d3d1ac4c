"""Locks, claims, records and fingerprints of the folders that commands work in."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cspine.core.errors import CohortError, OutputError
from cspine.io import workspace
from cspine.io.workspace import Claim, ForeignClaimError, Records, fingerprint, locked, locked_when_free, unchanged
from tests.builders.closed_folders import close

IN_USE = CohortError("in use")
#: Modules that do the work of `cspine run`, `evaluate` and `compare`.
PORTABLE = (
    "cspine.cli.run", "cspine.cli.evaluate", "cspine.cli.compare", "cspine.pipeline.study",
    "cspine.study.evaluation.evaluation_cases", "cspine.study.evaluation.pairing",
    "cspine.study.evaluation.provenance", "cspine.study.evaluation.summaries", "cspine.study.comparison.compare",
    "cspine.study.comparison.report",
)  # fmt: skip


def test_one_at_a_time_has_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "new" / "lock"
    with locked(path, IN_USE), pytest.raises(CohortError) as refused, locked(path, IN_USE):
        pass
    assert refused.value is IN_USE
    with locked(path, IN_USE):
        pass


@pytest.mark.parametrize("earlier", [None, 0o644, 0o666])
def test_no_other_user_can_open_a_lock(earlier: int | None, tmp_path: Path) -> None:
    path = tmp_path / "lock"
    if earlier is not None:
        path.touch()
        path.chmod(earlier)
    with locked(path, IN_USE):
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_lock_is_no_link(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError), locked(tmp_path / "lock", IN_USE):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_the_lock_ends_with_the_last_process_that_has_it(tmp_path: Path) -> None:
    wait = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with locked(tmp_path / "lock", IN_USE) as descriptor:
        child = subprocess.Popen(wait, stdin=subprocess.PIPE, pass_fds=(descriptor,))
    with pytest.raises(CohortError), locked(tmp_path / "lock", IN_USE):
        pass
    child.communicate()
    with locked(tmp_path / "lock", IN_USE):
        pass


def test_a_lock_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    hold = f"""
import sys, time
from pathlib import Path
from cspine.core.errors import CohortError
from cspine.io.workspace import locked
with locked(Path({str(path)!r}), CohortError("")):
    print("held", flush=True)
    time.sleep(0.3)
    Path({str(tmp_path / "done")!r}).touch()
"""
    with subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with locked_when_free(path):
            assert (tmp_path / "done").exists()


def test_a_folder_that_cannot_be_made_is_an_error_of_the_output(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError), locked(tmp_path / "file" / "lock", IN_USE):
        pass


def test_a_file_system_without_locks_is_an_error_of_the_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, *, blocking: bool) -> bool:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(workspace.filelock, "lock_descriptor", refuse)
    with pytest.raises(OutputError), locked(tmp_path / "lock", IN_USE):
        pass


def test_a_claim_is_read_by_its_own_command(tmp_path: Path) -> None:
    claim = Claim(tmp_path / "summary.json", "cspine audit")
    assert claim.read() is None
    claim.write({"complete": False})
    assert claim.read() == {"command": "cspine audit", "complete": False}
    with pytest.raises(ForeignClaimError):
        Claim(claim.file, "cspine evaluate").read()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '"cspine audit"'])
def test_a_damaged_claim_has_no_owner(content: str, tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text(content)
    with pytest.raises(ForeignClaimError):
        Claim(tmp_path / "summary.json", "cspine audit").read()


def test_records_are_stored_by_name(tmp_path: Path) -> None:
    records = Records[int](tmp_path / "records", lambda content: int(content["value"]), lambda value: {"value": value})
    assert records.read("a.b") is None and records.names() == []
    records.write("b", 2)
    records.write("a.b", 1)
    assert (records.names(), records.read("a.b"), records.read("b")) == (["a.b", "b"], 1, 2)
    records.remove("b")
    records.remove("b")
    assert records.names() == ["a.b"]


@pytest.mark.parametrize("content", ["", "{", "[1]", "{}", '{"value": "x"}', '{"value": null}', "\udcff"])
def test_a_damaged_record_is_none(content: str, tmp_path: Path) -> None:
    records = Records[int](tmp_path, lambda content: int(content["value"]), lambda value: {"value": value})
    records.path("a").write_bytes(content.encode("utf-8", "surrogateescape"))
    assert records.read("a") is None


def test_a_record_that_is_stored_unchanged_must_be_an_object(tmp_path: Path) -> None:
    records: Records[dict[str, Any]] = Records(tmp_path, unchanged, unchanged)
    records.path("a").write_text("[1]")
    records.write("b", {"x": 1})
    assert (records.read("a"), records.read("b")) == (None, {"x": 1})


def test_a_fingerprint_changes_with_any_file(tmp_path: Path) -> None:
    folder, file = tmp_path / "folder", tmp_path / "a.nii.gz"
    (folder / "in").mkdir(parents=True)
    (folder / "in" / "x").write_text("1")
    file.write_text("1")
    seen = [fingerprint([folder, file])]
    assert fingerprint([folder, file]) == seen[0]
    seen += [fingerprint([folder]), fingerprint([folder, file], "cervical")]
    (folder / "in" / "x").write_text("12")
    seen.append(fingerprint([folder, file]))
    os.utime(file, (0, 0))
    seen.append(fingerprint([folder, file]))
    (folder / "y").touch()
    seen.append(fingerprint([folder, file]))
    assert len(set(seen)) == len(seen)


def test_a_fingerprint_changes_with_a_file_behind_a_link_to_a_folder(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "study", tmp_path / "archive" / "series"
    folder.mkdir()
    elsewhere.mkdir(parents=True)
    (elsewhere / "1.dcm").write_text("1")
    (folder / "series").symlink_to(elsewhere, target_is_directory=True)
    before = fingerprint([folder])
    (elsewhere / "2.dcm").write_text("2")
    assert fingerprint([folder]) != before


def test_a_folder_that_cannot_be_read_is_a_state_or_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in" / "closed").mkdir(parents=True)
    close(tmp_path / "in" / "closed", monkeypatch)
    fingerprint([tmp_path])
    with pytest.raises(PermissionError):
        fingerprint([tmp_path], strict=True)


def test_an_absent_file_is_a_state_or_an_error(tmp_path: Path) -> None:
    absent = fingerprint([tmp_path / "a"])
    with pytest.raises(FileNotFoundError):
        fingerprint([tmp_path / "a"], strict=True)
    (tmp_path / "a").touch()
    assert fingerprint([tmp_path / "a"]) != absent


def test_runs_evaluations_and_comparisons_need_no_locks_of_unix() -> None:
    code = f"""
import sys
sys.modules["fcntl"] = None
from importlib import import_module
for name in {PORTABLE!r}:
    import_module(name)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
