"""Polling of a DICOMweb server: find studies that are new and stable, and fetch their instances to the spool.

Only CT instances count: results that the service itself stored on the server do not trigger a new fetch.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import requests
from dicomweb_client.api import DICOMwebClient

from cspine.core.errors import CSpineError, RetrievalError
from cspine.service.config import Polling
from cspine.service.intake.inbox import Inbox
from cspine.service.intake.instances import INCOMPLETE, file_name
from cspine.service.intake.store import identify
from cspine.service.network.multipart import dicom_parts
from cspine.service.network.web import describe_failure, session
from cspine.service.ops.metrics import Metrics
from cspine.service.queue import durable
from cspine.service.queue.job import study_key
from cspine.service.queue.spool import Spool

_log = logging.getLogger(__name__)
_RECORD = "record.json"
_ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_MULTIPART_BYTES = 2**20  # of boundaries and headers
_MAX_ROWS = 100_000  # of a query


@dataclass(frozen=True)
class _Observation:
    """The series of a study at the last poll, and the time since which they have not changed."""

    series: dict[str, int]
    since: float


class Poller:
    """Poll one DICOMweb server for CT studies.

    Parameters
    ----------
    config : Polling
        The server.
    stable_after_s : float
        Time without changes after which a study is fetched, in seconds.
    spool, inbox : Spool, Inbox
        Where instances are stored.
    metrics : Metrics
        Metrics.
    clock : callable
        Seconds since 1970.
    """

    def __init__(
        self,
        config: Polling,
        stable_after_s: float,
        spool: Spool,
        inbox: Inbox,
        metrics: Metrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._stable_after_s = stable_after_s
        self._spool = spool
        self._inbox = inbox
        self._metrics = metrics
        self._clock = clock
        self._observed: dict[str, _Observation] = {}
        self._failures: dict[str, tuple[int, float]] = {}
        self._consecutive_failures = 0

    # --- polling -----------------------------------------------------------------------------------------------------

    def poll(self) -> float:
        """Query the server once, fetch new studies, and return the seconds until the next poll.

        The interval grows while the server is down. A study that cannot be fetched does not block the others.
        """
        config = self._config
        try:
            self.recover()
            with session(config, self._inbox.max_instance_bytes + _MULTIPART_BYTES) as opened:
                self._poll_once(self._client(opened), opened)
        except RetrievalError as error:
            self._metrics.polls.labels("failed").inc()
            self._consecutive_failures += 1
            backoff = config.interval_s * 2.0 ** min(self._consecutive_failures, 16)
            pause = max(config.interval_s, min(backoff, config.max_interval_s))
            _log.warning("%s; next poll in %.0f s", error.message, pause, extra={"code": error.code})
            return pause
        self._metrics.polls.labels("succeeded").inc()
        self._consecutive_failures = 0
        return config.interval_s

    def recover(self) -> None:
        """Enqueue the completely fetched studies that a crash or a full disk left behind.

        Raises
        ------
        RetrievalError
            If the disk fails.
        """
        for folder in sorted(self._spool.fetching.iterdir()):
            if (folder / _RECORD).exists():
                try:
                    self._enqueue(folder.name)
                except OSError as error:
                    raise RetrievalError(f"cannot enqueue a fetched study: {error.strerror}") from error

    def _client(self, opened: requests.Session) -> DICOMwebClient:
        client = DICOMwebClient(self._config.url, session=opened, timeout=self._config.timeout_s, permissive_uid=True)
        client.set_http_retry_params(retry=False)  # the poller has its own back-off
        return client

    def _poll_once(self, client: DICOMwebClient, opened: requests.Session) -> None:
        now = self._clock()
        try:
            studies = self._query_studies(client)
        except CSpineError:
            raise
        except Exception as error:  # whatever an answer makes libraries raise
            raise RetrievalError(f"DICOMweb query failed: {describe_failure(error)}") from error
        self._observed = {study: seen for study, seen in self._observed.items() if study in studies}
        for study_uid, series in studies.items():
            seen = self._observed.get(study_uid)
            if seen is None or seen.series != series:
                seen = self._observed[study_uid] = _Observation(series, now)
            key = study_key(study_uid)
            _, not_before = self._failures.get(key, (0, 0.0))
            if (
                now - seen.since < self._stable_after_s
                or now < not_before
                or self._record(key)["series"] == _hashed(series)
            ):
                continue
            self._fetch_or_back_off(client, opened, study_uid, series)
        self._prune()

    def _fetch_or_back_off(
        self, client: DICOMwebClient, opened: requests.Session, study_uid: str, series: dict[str, int]
    ) -> None:
        key = study_key(study_uid)
        try:
            self._fetch(client, opened, study_uid, series)
            self._failures.pop(key, None)
        except Exception as error:  # whatever an answer makes libraries raise: one study must not block the others
            failures = self._failures.get(key, (0, 0.0))[0] + 1
            pause = min(self._config.interval_s * 2 ** min(failures, 16), self._config.max_interval_s)
            self._failures[key] = (failures, self._clock() + pause)
            cause = error.message if isinstance(error, CSpineError) else describe_failure(error)
            _log.warning("study fetch failed: %s", cause, extra={"study": key[:12], "code": RetrievalError.code})

    # --- queries ------------------------------------------------------------------------------------------------------

    def _query_studies(self, client: DICOMwebClient) -> dict[str, dict[str, int]]:
        """Return the CT series of recent studies and their numbers of instances, by study."""
        today = datetime.fromtimestamp(self._clock())
        first, last = today - timedelta(days=self._config.lookback_days), today + timedelta(days=1)
        filters = {**self._config.filters, "StudyDate": f"{first:%Y%m%d}-{last:%Y%m%d}", "Modality": "CT"}
        fields = ["StudyInstanceUID", "SeriesInstanceUID", "NumberOfSeriesRelatedInstances"]
        studies: dict[str, dict[str, int]] = {}
        invalid = set()
        for row in _pages(
            "0020000E",
            lambda offset: client.search_for_series(search_filters=filters, fields=fields, offset=offset),
            all_named=False,
        ):
            study_uid = ""
            try:
                study_uid = str(_value(row, "0020000D"))
                series_uid = str(_value(row, "0020000E"))
                count = _value(row, "00201209", 0) or len(self._query_instances(client, study_uid, series_uid))
                studies.setdefault(study_uid, {})[series_uid] = int(count)
            except Exception as error:  # one study must not block the others
                invalid.add(study_uid)
                _log.warning("study skipped: %s", describe_failure(error), extra={"study": study_key(study_uid)[:12]})
        return {uid: series for uid, series in studies.items() if uid not in invalid}

    def _query_instances(self, client: DICOMwebClient, study_uid: str, series_uid: str) -> list[str]:
        rows = _pages(
            "00080018",
            lambda offset: client.search_for_instances(study_uid, series_uid, fields=["SOPInstanceUID"], offset=offset),
        )
        return [str(_value(row, "00080018")) for row in rows]

    # --- fetching -----------------------------------------------------------------------------------------------------

    def _fetch(self, client: DICOMwebClient, opened: requests.Session, study_uid: str, series: dict[str, int]) -> None:
        """Fetch the new instances of a study; instances that were fetched before a crash are not fetched again.

        An instance that the server sends damaged is omitted, and marks the study as incomplete. A list with fewer
        instances than the series states is an error: a part of a series is never run.
        """
        key = study_key(study_uid)
        self._inbox.check_instances(sum(series.values()))
        folder = self._spool.fetching / key
        durable.make_folder(folder)
        durable.remove_file(folder / INCOMPLETE)  # of an earlier attempt
        known = set(self._record(key)["instances"]) if self._is_in_spool(key) else set()
        listed: list[str] = []
        for series_uid, stated in series.items():
            sop_uids = self._query_instances(client, study_uid, series_uid)
            if len(sop_uids) < stated:  # a server that limits its answers, or whose index is behind
                raise RetrievalError(f"the server lists {len(sop_uids)} of the {stated} instances that a series states")
            for sop_uid in sop_uids:
                name = file_name(sop_uid)
                if name not in known and not (folder / name).exists():
                    data = self._retrieve(opened, study_uid, series_uid, sop_uid)
                    if data is None:
                        durable.write(folder / INCOMPLETE, b"", self._spool.tmp)
                        continue
                    self._inbox.check_space(len(data))
                    durable.write(folder / name, data, self._spool.tmp)
                    self._metrics.fetched.inc()
                listed.append(name)
        record = {"series": _hashed(series), "instances": sorted({*listed, *known})}
        durable.write(folder / _RECORD, json.dumps(record).encode(), self._spool.tmp)
        _log.info("study fetched", extra={"study": key[:12], "instances": len(list(folder.glob("*.dcm")))})
        self._enqueue(key)

    def _retrieve(self, opened: requests.Session, study_uid: str, series_uid: str, sop_uid: str) -> bytes | None:
        """Return an instance as the server sent it; None if it is damaged or another one."""
        uids = [quote(uid, safe="") for uid in (study_uid, series_uid, sop_uid)]
        response = opened.get(
            "{}/studies/{}/series/{}/instances/{}".format(self._config.url, *uids),
            headers={"Accept": _ACCEPT}, timeout=self._config.timeout_s,
        )  # fmt: skip
        response.raise_for_status()
        data = next(iter(dicom_parts(response.headers.get("Content-Type", ""), response.content)), b"")
        found = identify(data, self._inbox.max_instance_bytes)
        if found is None or (found["StudyInstanceUID"], found["SOPInstanceUID"]) != (study_uid, sop_uid):
            reason = "unreadable" if found is None else "mismatch"
            self._metrics.refused.labels(reason).inc()
            _log.warning("instance refused: %s", reason, extra={"study": study_key(study_uid)[:12]})
            return None
        return data

    def _is_in_spool(self, key: str) -> bool:
        """Return whether earlier instances of the study are still in the spool, to be run with late ones."""
        incoming = (self._spool.incoming / key).exists()
        return incoming or bool(self._spool.of_study(key)) or any(self._spool.assembling.glob(f"*-{key[:16]}"))

    def _enqueue(self, key: str) -> None:
        """Record what was fetched, then move it to the inbox; `recover` repeats this after a crash in between."""
        folder = self._spool.fetching / key
        record, now = self._spool.polled / f"{key}.json", self._clock()
        durable.write(record, (folder / _RECORD).read_bytes(), self._spool.tmp)
        os.utime(record, (now, now))
        self._inbox.ingest(folder, key)
        durable.remove_folder(folder, self._spool.tmp)

    def _record(self, key: str) -> dict[str, Any]:
        try:
            record: dict[str, Any] = json.loads((self._spool.polled / f"{key}.json").read_bytes())
        except (OSError, ValueError):
            return {"series": {}, "instances": []}
        return record

    def _prune(self) -> None:
        """Remove old records, and partly fetched studies that the server no longer lists."""
        oldest = self._clock() - (self._config.lookback_days + 7) * 86_400
        for path in self._spool.polled.glob("*.json"):
            if path.stat().st_mtime < oldest:
                durable.remove_file(path)
        listed = {study_key(study_uid) for study_uid in self._observed}
        for folder in self._spool.fetching.iterdir():
            if folder.name not in listed:
                durable.remove_folder(folder, self._spool.tmp)


def _hashed(series: dict[str, int]) -> dict[str, int]:
    return {study_key(uid): count for uid, count in series.items()}


def _value(row: dict[str, Any], tag: str, absent: Any = None) -> Any:
    """Return the first value of an attribute in a DICOM JSON object."""
    values = row.get(tag, {}).get("Value") or [absent]
    if values[0] is None:
        raise KeyError(tag)
    return values[0]


def _pages(tag: str, ask: Callable[[int], list[dict[str, Any]]], *, all_named: bool = True) -> list[dict[str, Any]]:
    """Return the unique rows of all pages; a server without paging returns the first page repeatedly.

    A row without the tag is an error if ``all_named``, otherwise it is skipped.
    """
    found: dict[str, dict[str, Any]] = {}
    offset = 0
    while True:
        rows = ask(offset)
        named = {str(_value(row, tag)): row for row in rows if all_named or any(row.get(tag, {}).get("Value") or ())}
        new = {name: row for name, row in named.items() if name not in found}
        if not new:
            return list(found.values())
        found |= new
        if len(found) > _MAX_ROWS:
            raise RetrievalError(f"a query has more than {_MAX_ROWS} results")
        offset += len(rows)
