"""Instances that come in: each is on the disk before its sender is told so; a study is whole when it falls silent."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cspine.core.errors import SpoolError
from cspine.service.config import Limits
from cspine.service.intake.instances import INTERRUPTED, file_name
from cspine.service.queue import durable
from cspine.service.queue.job import study_key
from cspine.service.queue.spool import Spool

_log = logging.getLogger(__name__)


class Arrivals:
    """Takes instances into ``incoming/`` and tells which studies are whole.

    Parameters
    ----------
    spool : Spool
        The queue's folder.
    limits : Limits
        What is refused.
    clock : callable
        Seconds since 1970.
    """

    def __init__(self, spool: Spool, limits: Limits, clock: Callable[[], float] = time.time) -> None:
        self._spool = spool
        self._limits = limits
        self._clock = clock
        self._lock = threading.RLock()
        self._senders: Counter[str] = Counter()
        self._holds = 0
        self._broken: dict[str, int] = {}
        self._counts: dict[str, int] = {}
        self._used_bytes = spool.used_bytes()

    # --- instances ----------------------------------------------------------------------------------------------------

    def add(self, study_uid: str, sop_uid: str, data: bytes) -> None:
        """Take an instance; when this returns, it survives a power cut. One with its UID that lies there is replaced.

        Parameters
        ----------
        study_uid, sop_uid : str
            Of the instance.
        data : bytes
            DICOM file, as it came.

        Raises
        ------
        SpoolError
            If a limit is reached or the disk fails: the sender shall keep the instance and try again.
        """
        study = study_key(study_uid)
        self.check_room(len(data))
        try:
            staged = durable.stage(data, self._spool.tmp)
            try:
                self._take(staged, study, file_name(sop_uid))
            finally:
                durable.remove_file(staged)
        except OSError as error:
            raise SpoolError(f"an instance cannot be written: {error.strerror}") from error
        self._used_bytes += len(data)

    def _take(self, staged: Path, study: str, name: str) -> None:
        folder = self._spool.incoming / study
        with self._lock:  # no job is made of the folder meanwhile
            there = self._counts.get(study) or (len(list(folder.glob("*.dcm"))) if folder.exists() else 0)
            new = not (folder / name).exists()
            if new and there >= self._limits.study_instances:
                raise SpoolError(f"study {study[:12]} has {there} instances, which is the limit")
            durable.make_folder(folder)
            durable.move(staged, folder / name)
            self._counts[study] = there + new

    def adopt(self, source: Path, study: str) -> None:
        """Take the instances of a folder in the spool, fetched from a server, in one step a file."""
        with self._lock:
            for path in sorted(source.glob("*.dcm")):
                folder = self._spool.incoming / study
                durable.make_folder(folder)
                durable.move(path, folder / path.name)
            self._counts.pop(study, None)

    def check_room(self, more_bytes: int) -> None:
        """Raise SpoolError where ``more_bytes`` in one instance would break a limit."""
        limits = self._limits
        if more_bytes > limits.instance_bytes:
            raise SpoolError(f"an instance has {more_bytes} bytes; {limits.instance_bytes} are allowed")
        if self._spool.free_bytes() < limits.free_bytes + more_bytes:
            raise SpoolError("too little is free on the disk of the spool")
        if self._used_bytes + more_bytes > limits.spool_bytes:
            raise SpoolError("the spool has reached its limit")

    def check_instances(self, instances: int) -> None:
        """Raise SpoolError where a study of so many instances would break the limit."""
        if instances > self._limits.study_instances:
            raise SpoolError(f"a study has {instances} instances; {self._limits.study_instances} are allowed")

    def measure(self) -> int:
        """Measure the spool anew and return its bytes: between two calls, what comes in is added up."""
        self._used_bytes = self._spool.used_bytes()
        return self._used_bytes

    # --- senders ------------------------------------------------------------------------------------------------------

    def hold(self, study_uid: str) -> int:
        """Say that a sender is sending a study: it is not whole before `let_go`, which wants the number returned."""
        with self._lock:
            self._holds += 1
            self._senders[study_key(study_uid)] += 1
            return self._holds

    def let_go(self, study_uid: str, held_since: int, *, interrupted: bool) -> None:
        """Say that a sender has ended with a study.

        Breaking off leaves a mark. A good end removes it where the sender began after the break: it has sent again
        what was missing. One of two at the same time has not.

        Parameters
        ----------
        study_uid : str
            The study.
        held_since : int
            What `hold` returned.
        interrupted : bool
            The sender broke off, or instances were refused.
        """
        study = study_key(study_uid)
        with self._lock:
            self._senders[study] -= 1
            if self._senders[study] <= 0:
                del self._senders[study]
            folder = self._spool.incoming / study
            with suppress(OSError):
                if not folder.is_dir():
                    return
                if interrupted:
                    self._broken[study] = self._holds
                    (folder / INTERRUPTED).touch()
                    durable.sync_folder(folder)
                elif held_since > self._broken.get(study, 0):
                    self._broken.pop(study, None)
                    durable.remove_file(folder / INTERRUPTED)

    # --- whole studies ------------------------------------------------------------------------------------------------

    def whole(self, silence_s: float) -> list[str]:
        """Return the keys of the studies that nobody is sending and that got no instance for a while, oldest first.

        Parameters
        ----------
        silence_s : float
            How long; it is counted by the folder's time, so it goes on over a restart.
        """
        now = self._clock()
        ages: list[tuple[float, str]] = []
        for folder in self._spool.incoming.iterdir():
            arrived = folder.stat().st_mtime
            if arrived > now + 1:  # the machine's clock was set back
                os.utime(folder, (now, now))
            elif now - arrived >= silence_s and not self._senders[folder.name]:
                ages.append((arrived, folder.name))
        return [study for _, study in sorted(ages)]

    def hand_over(self, study: str, target: Path) -> bool:
        """Move a study's folder out of ``incoming/``; False where a sender has begun again, or it is gone."""
        with self._lock:
            if self._senders[study]:
                return False
            self._counts.pop(study, None)
            self._broken.pop(study, None)
            with suppress(FileNotFoundError):
                durable.move(self._spool.incoming / study, target)
                return True
            return False
