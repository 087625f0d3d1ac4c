"""The inbox of the spool: instances are on disk before they are acknowledged; a study is complete when it is stable."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cspine.core.errors import SpoolError
from cspine.service.config import Limits
from cspine.service.intake.instances import INCOMPLETE, file_name, is_ct
from cspine.service.queue import durable
from cspine.service.queue.job import study_key
from cspine.service.queue.spool import Spool

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Interruption:
    """Interrupted transfers of a study: the last transfer that had begun before, and the files that they delivered."""

    last_transfer: int
    delivered: frozenset[str]


class Inbox:
    """Store instances in ``incoming/`` and find the complete studies.

    Parameters
    ----------
    spool : Spool
        Spool.
    limits : Limits
        Limits.
    clock : callable
        Seconds since 1970.
    """

    def __init__(self, spool: Spool, limits: Limits, clock: Callable[[], float] = time.time) -> None:
        self._spool = spool
        self._limits = limits
        self._clock = clock
        self._lock = threading.RLock()
        self._open_transfers: dict[str, dict[int, set[str]]] = {}  # of a study: number to the files delivered since
        self._transfers = 0
        self._interrupted: dict[str, _Interruption] = {}
        self._counts: dict[str, int] = {}
        self._used_bytes = spool.used_bytes()

    @property
    def max_instance_bytes(self) -> int:
        """Return the largest size of one instance."""
        return self._limits.max_instance_bytes

    # --- instances ----------------------------------------------------------------------------------------------------

    def add(self, study_uid: str, sop_uid: str, data: bytes) -> None:
        """Store an instance; when this returns, it survives a power cut. A stored instance with its UID is replaced.

        Parameters
        ----------
        study_uid, sop_uid : str
            Study and SOP Instance UID.
        data : bytes
            DICOM file, as received.

        Raises
        ------
        SpoolError
            If a limit is reached or the disk fails; the sender must keep the instance and retry.
        """
        study = study_key(study_uid)
        self.check_space(len(data))
        try:
            staged = durable.stage(data, self._spool.tmp)
            try:
                self._move_in(staged, study, file_name(sop_uid))
            finally:
                durable.remove_file(staged)
        except OSError as error:
            raise SpoolError(f"cannot write an instance: {error.strerror}") from error
        self._used_bytes += len(data)

    def _move_in(self, staged: Path, study: str, name: str) -> None:
        folder = self._spool.incoming / study
        with self._lock:  # the folder must not become a job in the meantime
            stored = self._counts.get(study) or (len(list(folder.glob("*.dcm"))) if folder.exists() else 0)
            new = not (folder / name).exists()
            if new and stored >= self._limits.max_study_instances:
                raise SpoolError(f"study {study[:12]} has reached the limit of {stored} instances")
            durable.make_folder(folder)
            durable.move(staged, folder / name)
            self._counts[study] = stored + new
            for delivered in self._open_transfers.get(study, {}).values():  # parallel transfers share a study
                delivered.add(name)

    def ingest(self, source: Path, study: str) -> None:
        """Move the fetched instances of a study, and its mark, from a folder of the spool, each atomically."""
        with self._lock:
            for path in (*source.glob(INCOMPLETE), *sorted(source.glob("*.dcm"))):
                folder = self._spool.incoming / study
                durable.make_folder(folder)
                durable.move(path, folder / path.name)
            self._counts.pop(study, None)

    def check_space(self, more_bytes: int) -> None:
        """Raise SpoolError if an instance of ``more_bytes`` would exceed a limit."""
        limits = self._limits
        if more_bytes > limits.max_instance_bytes:
            raise SpoolError(f"an instance has {more_bytes} bytes; the limit is {limits.max_instance_bytes}")
        if self._spool.free_bytes() < limits.min_free_bytes + more_bytes:
            raise SpoolError("not enough free space on the disk of the spool")
        if self._used_bytes + more_bytes > limits.max_spool_bytes:
            raise SpoolError("the spool has reached its size limit")

    def check_instances(self, instances: int) -> None:
        """Raise SpoolError if a study with this number of instances would exceed the limit."""
        if instances > self._limits.max_study_instances:
            raise SpoolError(f"a study has {instances} instances; the limit is {self._limits.max_study_instances}")

    def measure(self) -> int:
        """Measure the size of the spool in bytes; between calls, the sizes of new instances are added up."""
        self._used_bytes = self._spool.used_bytes()
        return self._used_bytes

    # --- transfers ----------------------------------------------------------------------------------------------------

    def begin_transfer(self, study_uid: str) -> int:
        """Register the transfer of a study and return its number for `end_transfer`; until then it is not complete.

        If the service ends before, the study is incomplete after its restart.

        Raises
        ------
        SpoolError
            If the disk fails.
        """
        study = study_key(study_uid)
        with self._lock:
            if study not in self._open_transfers:
                try:
                    durable.make_file(self._spool.receiving / study)
                except OSError as error:
                    raise SpoolError(f"cannot register a transfer: {error.strerror}") from error
            self._transfers += 1
            self._open_transfers.setdefault(study, {})[self._transfers] = set()
            return self._transfers

    def end_transfer(self, study_uid: str, transfer: int, *, interrupted: bool) -> None:
        """End the transfer of a study.

        An interrupted transfer marks the study as incomplete. A transfer that ends normally removes the mark if it
        began after the interruption and has sent every instance that was delivered before it again: the sender has
        repeated the transfer. Another object of the study says nothing about the instances that are missing.

        Parameters
        ----------
        study_uid : str
            Study Instance UID.
        transfer : int
            The number that `begin_transfer` returned.
        interrupted : bool
            The sender aborted, or instances were refused.
        """
        study = study_key(study_uid)
        with self._lock:
            delivered = self._open_transfers[study].pop(transfer)
            if not self._open_transfers[study]:
                del self._open_transfers[study]
            with suppress(OSError):
                if (self._spool.incoming / study).is_dir():
                    if interrupted:
                        self._mark(study, delivered)
                    else:
                        self._unmark(study, transfer, delivered)
                if study not in self._open_transfers:
                    durable.remove_file(self._spool.receiving / study)

    def _mark(self, study: str, delivered: set[str]) -> None:
        """Mark a study as incomplete; ``delivered`` has the files that must be sent again."""
        before = self._delivered_before_the_mark(study)
        self._interrupted[study] = _Interruption(self._transfers, before | delivered)
        durable.make_file(self._spool.incoming / study / INCOMPLETE)

    def _unmark(self, study: str, transfer: int, delivered: set[str]) -> None:
        """Remove the mark of interruptions that a transfer has repeated."""
        interruption = self._interrupted.get(study)
        began_after = interruption is None or transfer > interruption.last_transfer
        if began_after and self._delivered_before_the_mark(study) <= delivered:
            self._interrupted.pop(study, None)
            durable.remove_file(self._spool.incoming / study / INCOMPLETE)

    def _delivered_before_the_mark(self, study: str) -> frozenset[str]:
        """Return the files of interrupted transfers: after a restart, all CT images of a marked study."""
        interruption = self._interrupted.get(study)
        if interruption is not None:
            return interruption.delivered
        folder = self._spool.incoming / study
        if not (folder / INCOMPLETE).exists():
            return frozenset()
        return frozenset(path.name for path in folder.glob("*.dcm") if is_ct(path))

    # --- complete studies ---------------------------------------------------------------------------------------------

    def complete_studies(self, stable_after_s: float) -> list[str]:
        """Return the keys of the studies without a transfer or new instance for a while, oldest first.

        Parameters
        ----------
        stable_after_s : float
            Time without a new instance in seconds, by the time of the folder: a restart does not reset it.
        """
        now = self._clock()
        ages: list[tuple[float, str]] = []
        for folder in self._spool.incoming.iterdir():
            arrived = folder.stat().st_mtime
            if arrived > now + 1:  # the clock was set back
                os.utime(folder, (now, now))
            elif now - arrived >= stable_after_s and folder.name not in self._open_transfers:
                ages.append((arrived, folder.name))
        return [study for _, study in sorted(ages)]

    def move_to(self, study: str, target: Path) -> bool:
        """Move a study out of ``incoming/``; return False if a new transfer has begun or the study is gone."""
        with self._lock:
            if study in self._open_transfers:
                return False
            self._counts.pop(study, None)
            self._interrupted.pop(study, None)
            with suppress(FileNotFoundError):
                durable.move(self._spool.incoming / study, target)
                return True
            return False
