"""A job: one study in the queue, as job.json stores it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

#: Incremented with every change that an older service would misread.
SCHEMA_VERSION = 1

_STAMP = "%Y%m%dT%H%M%S%f"


class State(StrEnum):
    """State of a job, which is the folder that contains it."""

    WAITING = "waiting"
    RUNNING = "running"
    SENDING = "sending"
    DONE = "done"
    FAILED = "failed"


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FailureReason(_Record):
    """The cause of a failure, without patient data."""

    code: str
    message: str
    advice: str
    attempts: int
    time: str


class Delivery(_Record):
    """Progress of the delivery of a job to one destination."""

    state: Literal["pending", "delivered", "refused", "abandoned", "removed"] = "pending"
    attempts: int = 0
    first_attempt_at: float | None = Field(
        default=None, description="Time of the first attempt, in seconds since 1970."
    )
    next_attempt_at: float = Field(default=0, description="Time of the next attempt, in seconds since 1970.")
    last_error: FailureReason | None = None
    warnings: tuple[str, ...] = ()

    @property
    def has_failed(self) -> bool:
        """Whether the delivery failed and will not be retried automatically."""
        return self.state in ("refused", "abandoned")


class Job(_Record):
    """One study in the queue.

    ``study`` is the key of the study. The clock is set when the study is complete and never changes: a job that is
    run again gives the same bytes and UIDs.
    """

    schema_version: int = Field(default=SCHEMA_VERSION, ge=1, le=SCHEMA_VERSION)
    id: str
    study: str
    created: str
    clock: str
    instances: int = 0
    incomplete: bool = Field(default=False, description="A transfer was interrupted: instances may be missing.")
    previous: str | None = Field(default=None, description="Job whose instances and results are part of the input.")
    attempts: int = Field(default=0, description="Runs that failed.")
    crashes: int = Field(default=0, description="Runs during which the service crashed.")
    not_before: float = Field(default=0, description="Earliest time of the next run, in seconds since 1970.")
    reason: FailureReason | None = None
    destinations: dict[str, Delivery] = {}
    finished: float | None = Field(
        default=None, description="Time of the move to done/ or failed/, in seconds since 1970."
    )

    @property
    def short_study(self) -> str:
        """Hashed Study Instance UID for logs and messages, as `cspine.core.errors.hashed` returns it."""
        return self.study[:12]


def study_key(study_uid: str) -> str:
    """Return the key of a study: the SHA-256 of its Study Instance UID."""
    return hashlib.sha256(study_uid.encode("utf-8")).hexdigest()


def job_id(study: str, now: float, after: str = "") -> str:
    """Return the name of a new job; names sort by age and contain the start of the study key.

    Parameters
    ----------
    study : str
        Key of the study.
    now : float
        Seconds since 1970.
    after : str
        Name of the last job of the study: the new name sorts after it, even if the clock was set back.
    """
    when = datetime.fromtimestamp(now, tz=UTC)
    if after:
        last = datetime.strptime(after.partition("-")[0], _STAMP).replace(tzinfo=UTC)
        when = max(when, last + timedelta(microseconds=1))
    return f"{when:{_STAMP}}-{study[:16]}"


def iso_time(now: float) -> str:
    """Return a time in ISO 8601, UTC, as job.json and logs contain it."""
    return datetime.fromtimestamp(now, tz=UTC).isoformat(timespec="seconds")
