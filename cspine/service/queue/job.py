"""A job: one study with all that the service knows about it, as job.json keeps it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

#: Grows by one with every change after which an older service would misread the file.
SCHEMA_VERSION = 1

_STAMP = "%Y%m%dT%H%M%S%f"


class State(StrEnum):
    """The state of a job is the folder that it lies in."""

    WAITING = "waiting"
    RUNNING = "running"
    SENDING = "sending"
    DONE = "done"
    FAILED = "failed"


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Reason(_Record):
    """Why something failed, without patient data."""

    code: str
    message: str
    advice: str
    attempts: int
    when: str


class Delivery(_Record):
    """How far the results of a job have come on their way to one destination."""

    state: Literal["pending", "delivered", "refused", "gave up", "removed"] = "pending"
    attempts: int = 0
    first_at: float | None = Field(default=None, description="First attempt, seconds since 1970.")
    next_at: float = Field(default=0, description="Next attempt, seconds since 1970.")
    last: Reason | None = None
    warnings: tuple[str, ...] = ()

    @property
    def lost(self) -> bool:
        """True where a person has to do something."""
        return self.state in ("refused", "gave up")


class Job(_Record):
    """One study in the queue.

    ``study`` is the study's key. The clock is set when the study is whole and stays: a job that is run again gives the
    same bytes and UIDs.
    """

    schema_version: int = Field(default=SCHEMA_VERSION, ge=1, le=SCHEMA_VERSION)
    id: str
    study: str
    created: str
    clock: str
    instances: int = 0
    interrupted: bool = Field(default=False, description="A sender broke off, so instances may be missing.")
    earlier: str | None = Field(default=None, description="The job whose instances and result this one takes up.")
    attempts: int = Field(default=0, description="Runs that ended with an error.")
    crashes: int = Field(default=0, description="Runs that the service did not live to see the end of.")
    not_before: float = Field(default=0, description="Next run, seconds since 1970.")
    reason: Reason | None = None
    destinations: dict[str, Delivery] = {}
    finished: float | None = Field(default=None, description="Into done/ or failed/, seconds since 1970.")

    @property
    def short_study(self) -> str:
        """The study as logs and messages tell it: what `cspine.core.errors.hashed` gives of its UID."""
        return self.study[:12]


def study_key(study_uid: str) -> str:
    """Return the key of a study, from which its UID cannot be read: the SHA-256 of the UID."""
    return hashlib.sha256(study_uid.encode("utf-8")).hexdigest()


def job_id(study: str, now: float, after: str = "") -> str:
    """Return the name of a new job: jobs sort by age, and the study can be seen in it.

    Parameters
    ----------
    study : str
        Key of the study.
    now : float
        Seconds since 1970.
    after : str
        Name of the last job of the study: the new one sorts behind it, though the clock was set back.
    """
    when = datetime.fromtimestamp(now, tz=UTC)
    if after:
        last = datetime.strptime(after.partition("-")[0], _STAMP).replace(tzinfo=UTC)
        when = max(when, last + timedelta(microseconds=1))
    return f"{when:{_STAMP}}-{study[:16]}"


def moment(now: float) -> str:
    """Return a time as job.json and logs write it: ISO 8601, UTC."""
    return datetime.fromtimestamp(now, tz=UTC).isoformat(timespec="seconds")
