"""`cspine queue`: list the jobs in the spool of `cspine serve-pacs`, and retry failed ones."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cspine.core.errors import SpoolError, UsageError
from cspine.io.console import table

if TYPE_CHECKING:
    from cspine.service.queue.job import Job
    from cspine.service.queue.spool import Spool

_spool_argument = click.argument("spool_folder", metavar="SPOOL", type=click.Path(path_type=Path))


@click.group()
def command() -> None:
    """List, show and retry the jobs of `cspine serve-pacs`; safe while the service runs."""


@command.command("list")
@_spool_argument
def list_command(spool_folder: Path) -> None:
    """List all jobs in SPOOL by state, oldest first."""
    from cspine.service.queue.job import State

    spool = _open(spool_folder)
    rows = [
        [str(state), job.id, job.short_study, str(job.instances), _status(job)]
        for state in State
        for job in spool.jobs(state)
    ]
    incoming = sum(1 for _ in spool.incoming.iterdir())
    table("Queue", ("state", "job", "study", "instances", "detail"), rows)
    click.echo(f"{len(rows)} jobs; {incoming} studies incoming.")


@command.command()
@_spool_argument
@click.argument("job_name", metavar="JOB")
def show(spool_folder: Path, job_name: str) -> None:
    """Show the job.json of JOB and the folders of its files."""
    spool = _open(spool_folder)
    state = spool.find(job_name)
    folder = spool.job_folder(state, job_name)
    click.echo(spool.read(state, job_name).model_dump_json(indent=2))
    click.echo(f"state      {state}")
    click.echo(f"input      {folder / 'input'}")
    if (folder / "results").is_dir():
        click.echo(f"results    {folder / 'results'}")


@command.command()
@_spool_argument
@click.argument("job_name", metavar="[JOB]", required=False)
@click.option("--all", "everything", is_flag=True, help="Retry all failed jobs that are the latest job of their study.")
def retry(spool_folder: Path, job_name: str | None, everything: bool) -> None:
    """Retry the failed JOB: deliver its results again, or run its study again if it has none."""
    from cspine.service.queue import transitions
    from cspine.service.queue.job import State

    if (job_name is None) != everything:
        raise UsageError("give JOB or --all")
    spool = _open(spool_folder)
    with spool.transition():
        if job_name is None:
            chosen = [job for job in spool.jobs(State.FAILED) if spool.of_study(job.study)[-1][1].id == job.id]
        elif spool.find(job_name) is State.FAILED:
            chosen = [spool.read(State.FAILED, job_name)]
        else:
            raise SpoolError("the job has not failed", advice="`cspine queue list SPOOL` lists the state of each job.")
        for job in chosen:
            click.echo(f"{job.id}: {transitions.retry(spool, job)}")
    click.echo(f"{len(chosen)} jobs requeued.")


def _open(folder: Path) -> Spool:
    from cspine.service.queue.spool import Spool

    if not (folder / "waiting").is_dir():
        raise SpoolError(
            f"{folder.name} is not a spool", advice="Give the folder that the configuration names as spool."
        )
    return Spool(folder)


def _status(job: Job) -> str:
    """Return the failure reason of a job, or the states of its deliveries."""
    if job.reason is not None:
        wait = job.not_before - time.time()
        retry = f"; retry in {wait:.0f} s" if wait > 0 and job.finished is None else ""
        return f"{job.reason.code} {job.reason.message}{retry}"
    return ", ".join(f"{name} {delivery.state}" for name, delivery in job.destinations.items())
