"""`cspine cohort IN OUT`: many studies on all cores, GPUs or machines of a Ray cluster, with tables of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cspine.cli.run_options import model_package, run_options, run_settings
from cspine.core.errors import SomeStudiesFailedError
from cspine.io.console import progress, table

if TYPE_CHECKING:
    from cspine.cohort.folder import StudyRecord


@click.command(name="cohort")
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--address", metavar="ADDRESS", help="Ray cluster: HOST:PORT of its head, or auto.  [default: this machine]"
)
@click.option("--workers", type=click.IntRange(min=1), help="At most so many studies at a time.")
@click.option(
    "--threads-per-study", "threads", default=1, show_default=True, type=click.IntRange(min=1),
    help="CPU threads of one study: cores / threads is the number of workers.",
)  # fmt: skip
@click.option("--retry-failed", is_flag=True, help="Run on studies again that failed in an earlier call.")
@click.option("--anew", is_flag=True, help="Run on every study again, whatever is in OUT.")
@run_options
def command(
    source: Path,
    out: Path,
    address: str | None,
    workers: int | None,
    threads: int,
    retry_failed: bool,
    anew: bool,
    **options: object,
) -> None:
    """Segment the vertebrae of many studies: each as `cspine run` would, several at a time.

    IN is a folder with one study a subfolder or .zip, or a list: a text file with a path a line, or a .csv with the
    columns path and, if wanted, name.

    \b
    OUT/NAME/dicom, OUT/NAME/report       what `cspine run` writes for the study called NAME
    OUT/cohort/results.csv, .parquet      a row a study: outcome, series, levels, findings, seconds, model
    OUT/cohort/vertebrae.csv, .parquet    a row a vertebra: volume, HU, centroid, extent
    OUT/cohort/failures.csv               code, message and advice of each study that failed

    The same command goes on where it was interrupted. A study is done again only if its files, the model, a setting
    or cspine's version changed; one that failed, with --retry-failed. Studies that fail do not stop the others and
    end the command with exit code 11. All studies have the clock of the first call: docs/cohort.md.
    """  # noqa: D301
    from cspine.cohort.folder import CohortFolder
    from cspine.cohort.plan import make_plan, records_of, run_plan
    from cspine.cohort.ray_pool import RayPool, connected, needs_of
    from cspine.cohort.result_tables import arrow, write_tables
    from cspine.cohort.studies import find_studies
    from cspine.cohort.worker import CohortTask

    arrow()  # what is missing is told before hours of work
    studies = find_studies(source, out)
    package = model_package(options)
    folder = CohortFolder(out.resolve())
    with folder.held() as clock:
        settings = run_settings(options | {"rules_file": _absolute(options["rules_file"])}, clock)
        task = CohortTask(package.folder.resolve(), package.identity.checksum, settings, folder, threads)
        plan = make_plan(studies, task, retry_failed=retry_failed, anew=anew)
        click.echo(f"{len(studies)} studies, {len(plan.kept)} done before, {len(plan.jobs)} to do.")
        try:
            if plan.jobs:
                with connected(address):
                    needs = needs_of(settings.inference.device, threads, workers, local=address is None)
                    with RayPool(task, needs) as pool, progress("studies") as tell:
                        run_plan(plan, pool, needs.workers, task, tell)
        finally:  # an interrupted cohort has its tables too
            records = records_of(plan, folder)
            written = write_tables(records, folder.own)
    _tell(records, written)


def _absolute(path: object) -> Path | None:
    return Path(str(path)).resolve() if path else None


def _tell(records: Sequence[StudyRecord], written: Sequence[Path]) -> None:
    from cspine.cohort.result_tables import failures_by_code

    failures = failures_by_code(records)
    if failures:
        table("Failures", ("Code", "Studies", "Advice"), [(code, str(number), text) for code, number, text in failures])
    for path in written:
        click.echo(f"{path}")
    failed = sum(number for _, number, _ in failures)
    click.echo(f"{len(records) - failed} of {len(records)} studies done.")
    if failed:
        by_code = ", ".join(f"{code} {number} x" for code, number, _ in failures)
        raise SomeStudiesFailedError(
            f"{failed} of {len(records)} studies failed: {by_code}",
            advice="OUT/cohort/failures.csv names each one with its advice; --retry-failed tries them again.",
        )
