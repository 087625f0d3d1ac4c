"""`cspine queue`: look into the spool of `cspine serve-pacs`, and bring back what had failed."""

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
    """List, show and retry the jobs of `cspine serve-pacs`; safe while it runs."""


@command.command("list")
@_spool_argument
def list_command(spool_folder: Path) -> None:
    """Show all jobs in SPOOL, oldest first in each state."""
    from cspine.service.queue.job import State

    spool = _open(spool_folder)
    rows = [
        [str(state), job.id, job.short_study, str(job.instances), _trouble(job)]
        for state in State
        for job in spool.jobs(state)
    ]
    arriving = sum(1 for _ in spool.incoming.iterdir())
    table("Queue", ("state", "job", "study", "instances", "note"), rows)
    click.echo(f"{len(rows)} jobs; {arriving} studies are arriving.")


@command.command()
@_spool_argument
@click.argument("job_name", metavar="JOB")
def show(spool_folder: Path, job_name: str) -> None:
    """Show all that is known of JOB: its job.json, and its files."""
    spool = _open(spool_folder)
    state = spool.find(job_name)
    place = spool.place(state, job_name)
    click.echo(spool.read(state, job_name).model_dump_json(indent=2))
    click.echo(f"state      {state}")
    click.echo(f"input      {place / 'input'}")
    if (place / "results").is_dir():
        click.echo(f"results    {place / 'results'}")


@command.command()
@_spool_argument
@click.argument("job_name", metavar="[JOB]", required=False)
@click.option("--all", "everything", is_flag=True, help="All failed jobs that no later job of their study replaces.")
def retry(spool_folder: Path, job_name: str | None, everything: bool) -> None:
    """Bring the failed JOB back: its results to their destinations, or its study to the queue where it has none."""
    from cspine.service.queue import flow
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
            raise SpoolError("the job has not failed", advice="`cspine queue list SPOOL` shows the state of each job.")
        for job in chosen:
            click.echo(f"{job.id}: {flow.retry(spool, job)}")
    click.echo(f"{len(chosen)} jobs tried again.")


def _open(folder: Path) -> Spool:
    from cspine.service.queue.spool import Spool

    if not (folder / "waiting").is_dir():
        raise SpoolError(
            f"{folder.name} is not a spool", advice="Give the folder that `spool` of the configuration names."
        )
    return Spool(folder)


def _trouble(job: Job) -> str:
    """Return the reason of a failed job, or how its deliveries stand."""
    if job.reason is not None:
        wait = job.not_before - time.time()
        later = f"; again in {wait:.0f} s" if wait > 0 and job.finished is None else ""
        return f"{job.reason.code} {job.reason.message}{later}"
    return ", ".join(f"{name} {delivery.state}" for name, delivery in job.destinations.items())
