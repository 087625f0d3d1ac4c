"""`cspine cohort` when nothing is left to run; tests/cohort/test_ray_pool.py runs studies."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from cspine.cli.cohort import command
from cspine.cohort.folder import CohortFolder
from cspine.cohort.scheduler import make_plan
from cspine.cohort.studies import find_studies
from cspine.cohort.worker import CohortTask
from cspine.core.errors import CohortError, MissingExtraError, SomeStudiesFailedError
from tests.builders.cohorts import bright_task, failed_record
from tests.builders.raises import raises_code


def invoke(*arguments: object):
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def done(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Input, output and model of a cohort whose only study has failed before."""
    source, out, model = tmp_path / "in", tmp_path / "out", tmp_path / "bright"
    (source / "a").mkdir(parents=True)
    task = bright_task(model, out)
    with CohortFolder(out).locked() as clock:
        task = replace(task, settings=replace(task.settings, clock=clock))
        (attempt,) = make_plan(find_studies(source, out), task).pending
        task.folder.store(failed_record("a", attempt.key), None)
    return source, out, model


def test_a_failed_study_is_reported_and_not_retried(
    done: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    source, out, model = done
    with raises_code(SomeStudiesFailedError, 1, "CS-GEO-002"):
        invoke(source, out, "--model", model)
    assert (out / "cohort" / "results.csv").read_text().splitlines()[1].startswith("a,failed,CS-GEO-002,")
    assert "a,CS-GEO-002" in (out / "cohort" / "failures.csv").read_text()


def test_entries_that_are_no_studies_are_reported_by_their_number(done: tuple[Path, Path, Path]) -> None:
    source, out, model = done
    for name in ("SECRET.dcm", "SECRET.tar.gz"):
        (source / name).write_bytes(b"")
    result = CliRunner().invoke(command, [str(source), str(out), "--model", str(model)])
    assert "2 entries" in result.output
    assert "SECRET" not in result.output


def test_a_cohort_that_cannot_start_leaves_no_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(CohortError):
        invoke(tmp_path / "in", tmp_path / "out")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with raises_code(MissingExtraError, "cspine[cohort]"):
        invoke(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_formats_of_surfaces_and_elements_are_settings_of_each_study(
    done: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out, model = done
    tasks = []

    def no_plan(studies: object, task: CohortTask, **_: object) -> None:
        tasks.append(task)
        raise CohortError("enough")

    monkeypatch.setattr("cspine.cohort.scheduler.make_plan", no_plan)
    with pytest.raises(CohortError):
        invoke(source, out, "--model", model, "--surface-format", "dicom,ply", "--fe-format", "feb")
    (settings,) = [task.settings for task in tasks]
    assert (settings.surfaces.formats, settings.elements.formats) == (("ply", "dicom"), ("feb",))


def test_the_help_names_outputs_and_the_options_of_a_run() -> None:
    output = invoke("--help").output
    assert "\n  OUT/cohort/results.csv, .parquet" in output
    for text in (
        "--address",
        "--threads-per-study",
        "--retry-failed",
        "--recompute",
        "--model",
        "--seg-type",
        "--rules",
    ):
        assert text in output
    assert "--series-uid" not in output
