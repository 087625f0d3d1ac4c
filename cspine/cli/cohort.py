"""`cspine cohort IN OUT`: run many studies in parallel on this machine or a Ray cluster, and write tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cspine.cli.run_options import model_package, run_options, run_settings
from cspine.core.errors import SomeStudiesFailedError
from cspine.io.console import progress, table, with_options
from cspine.io.tables import counted

if TYPE_CHECKING:
    from cspine.cohort.folder import StudyRecord


@click.command(name="cohort")
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--address", metavar="ADDRESS", help="Ray cluster: HOST:PORT of its head, or auto.  [default: this machine]"
)
@click.option("--workers", type=click.IntRange(min=1), help="Maximum number of studies at a time.")
@click.option(
    "--threads-per-study", "threads", default=1, show_default=True, type=click.IntRange(min=1),
    help="CPU threads per study; cores / threads is the number of workers.",
)  # fmt: skip
@click.option("--retry-failed", is_flag=True, help="Also run studies that failed in an earlier call.")
@click.option("--recompute", is_flag=True, help="Run every study, even if OUT has its results.")
@run_options
def command(
    source: Path,
    out: Path,
    address: str | None,
    workers: int | None,
    threads: int,
    retry_failed: bool,
    recompute: bool,
    **options: object,
) -> None:
    """Segment the vertebrae of many studies, several at a time, as `cspine run` does for each.

    IN is a folder with one study per subfolder or .zip, or a list: a text file with one path per line, or a .csv with
    the columns path and, optionally, name.

    \b
    OUT/NAME/dicom, OUT/NAME/report       output of `cspine run` for the study NAME
    OUT/cohort/results.csv, .parquet      one row per study: outcome, series, levels, findings, seconds, model
    OUT/cohort/vertebrae.csv, .parquet    one row per vertebra: volume, HU, centroid, extent
    OUT/cohort/measurements.csv, .parquet one row per value: study, site, quantity, unit, uncertainty
    OUT/cohort/failures.csv               code, message and advice of each failed study

    An interrupted command resumes when it is repeated. A study is run again only if its files, the model, a setting or
    the version of cspine changed; failed ones with --retry-failed. Failed studies do not stop the others; the exit
    code is then 11. All studies use the clock of the first call: docs/guide/cohort.md.
    """  # noqa: D301
    from cspine.cohort.folder import CohortFolder
    from cspine.cohort.ray_pool import RayPool, connected, plan_workers
    from cspine.cohort.result_tables import require_pyarrow, write_tables
    from cspine.cohort.scheduler import make_plan, records_of, run_plan
    from cspine.cohort.studies import count_other_entries, find_studies
    from cspine.cohort.worker import CohortTask

    require_pyarrow()  # report a missing library before hours of work
    studies = find_studies(source, out)
    if others := count_other_entries(source):
        click.echo(f"{counted(others, 'entry', 'entries')} of IN left out: neither a subfolder nor a .zip.")
    package = model_package(options)
    folder = CohortFolder(out.resolve())
    with folder.locked() as clock:
        settings = run_settings(options | {"rules_file": _absolute(options["rules_file"])}, clock)
        task = CohortTask(package.folder.resolve(), package.identity.checksum, settings, folder, threads)
        plan = make_plan(studies, task, retry_failed=retry_failed, recompute=recompute)
        click.echo(f"{len(studies)} studies: {len(plan.cached)} done, {len(plan.pending)} to run.")
        try:
            if plan.pending:
                with connected(address):
                    resources = plan_workers(settings.inference.device, threads, workers, local=address is None)
                    with RayPool(task, resources) as pool, progress("studies") as on_progress:
                        run_plan(plan, pool, resources.workers, task, on_progress)
        finally:  # an interrupted cohort has tables too
            records = records_of(plan, folder)
            written = write_tables(records, folder.cohort_folder)
    _report(records, written)


def _absolute(path: object) -> Path | None:
    return Path(str(path)).resolve() if path else None


def _report(records: Sequence[StudyRecord], written: Sequence[Path]) -> None:
    from cspine.cohort.result_tables import failures_by_code

    failures = failures_by_code(records)
    if failures:
        table(
            "Failures",
            ("Code", "Studies", "Advice"),
            [(code, str(number), with_options(text)) for code, number, text in failures],
        )
    for path in written:
        click.echo(f"{path}")
    failed = sum(number for _, number, _ in failures)
    click.echo(f"{len(records) - failed} of {len(records)} studies succeeded.")
    if failed:
        by_code = ", ".join(f"{number} x {code}" for code, number, _ in failures)
        raise SomeStudiesFailedError(
            f"{failed} of {len(records)} studies failed: {by_code}",
            advice="See OUT/cohort/failures.csv; --retry-failed runs them again.",
        )
