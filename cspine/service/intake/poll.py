"""Fetching from a DICOMweb server: which studies are new and have stopped growing, and their instances into the spool.

Only CT instances count, so results that the service itself sent there do not make it fetch the study again.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO
from typing import Any

import requests
from dicomweb_client.api import DICOMwebClient
from pydicom import dcmwrite

from cspine.core.errors import RetrievalError, SpoolError
from cspine.service.config import Polling
from cspine.service.intake.arrivals import Arrivals
from cspine.service.intake.instances import file_name
from cspine.service.network.web import session, told
from cspine.service.ops.metrics import Metrics
from cspine.service.queue import durable
from cspine.service.queue.job import study_key
from cspine.service.queue.spool import Spool

_log = logging.getLogger(__name__)
_RECORD = "record.json"
_TROUBLE = (requests.RequestException, OSError, ValueError, KeyError, IndexError, TypeError, AttributeError)


@dataclass(frozen=True)
class _Growing:
    """A study as the server had it at the last question, and since when it has been like that."""

    series: dict[str, int]
    since: float


class Poller:
    """Asks one DICOMweb server for CT studies.

    Parameters
    ----------
    config : Polling
        The server.
    silence_s : float
        How long a study must not have grown before it is fetched, in seconds.
    spool, arrivals : Spool, Arrivals
        Where instances go.
    metrics : Metrics
        What is counted.
    clock : callable
        Seconds since 1970.
    """

    def __init__(
        self,
        config: Polling,
        silence_s: float,
        spool: Spool,
        arrivals: Arrivals,
        metrics: Metrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._silence_s = silence_s
        self._spool = spool
        self._arrivals = arrivals
        self._metrics = metrics
        self._clock = clock
        self._growing: dict[str, _Growing] = {}
        self._failures: dict[str, tuple[int, float]] = {}
        self._in_a_row = 0

    # --- the round ----------------------------------------------------------------------------------------------------

    def poll(self) -> float:
        """Ask once, fetch what is new, and return the seconds until the next question.

        A server that is down is asked less and less often. A study that cannot be fetched does not hold up others.
        """
        config = self._config
        try:
            self.put_right()
            with session(config) as opened:
                client = self._client(opened)
                self._round(client)
        except RetrievalError as error:
            self._metrics.polls.labels("failed").inc()
            self._in_a_row += 1
            longer = config.interval_s * 2.0 ** min(self._in_a_row, 16)
            pause = max(config.interval_s, min(longer, config.longest_pause_s))
            _log.warning("%s; asked again in %.0f s", error.message, pause, extra={"code": error.code})
            return pause
        self._metrics.polls.labels("answered").inc()
        self._in_a_row = 0
        return config.interval_s

    def put_right(self) -> None:
        """Go on where a crash or a full disk left off: a study that was fetched whole goes into the queue.

        Raises
        ------
        RetrievalError
            If the disk refuses.
        """
        for place in sorted(self._spool.fetching.iterdir()):
            if (place / _RECORD).exists():
                try:
                    self._hand_on(place.name)
                except OSError as error:
                    raise RetrievalError(f"a fetched study cannot be handed on: {error.strerror}") from error

    def _client(self, opened: requests.Session) -> DICOMwebClient:
        client = DICOMwebClient(self._config.url, session=opened, timeout=self._config.timeout_s, permissive_uid=True)
        client.set_http_retry_params(retry=False)  # the pauses are ours
        return client

    def _round(self, client: DICOMwebClient) -> None:
        now = self._clock()
        try:
            studies = self._studies(client)
        except _TROUBLE as error:
            raise RetrievalError(f"the DICOMweb server was not asked: {told(error)}") from error
        self._growing = {study: seen for study, seen in self._growing.items() if study in studies}
        for study_uid, series in studies.items():
            seen = self._growing.get(study_uid)
            if seen is None or seen.series != series:
                seen = self._growing[study_uid] = _Growing(series, now)
            key = study_key(study_uid)
            _, not_before = self._failures.get(key, (0, 0.0))
            if now - seen.since < self._silence_s or now < not_before or self._record(key)["series"] == _hashed(series):
                continue
            self._try_to_fetch(client, study_uid, series)
        self._forget()

    def _try_to_fetch(self, client: DICOMwebClient, study_uid: str, series: dict[str, int]) -> None:
        key = study_key(study_uid)
        try:
            self._fetch(client, study_uid, series)
            self._failures.pop(key, None)
        except (*_TROUBLE, SpoolError, RetrievalError) as error:
            failures = self._failures.get(key, (0, 0.0))[0] + 1
            pause = min(self._config.interval_s * 2 ** min(failures, 16), self._config.longest_pause_s)
            self._failures[key] = (failures, self._clock() + pause)
            why = error.message if isinstance(error, SpoolError | RetrievalError) else told(error)
            _log.warning("study not fetched: %s", why, extra={"study": key[:12], "code": RetrievalError.code})

    # --- questions ----------------------------------------------------------------------------------------------------

    def _studies(self, client: DICOMwebClient) -> dict[str, dict[str, int]]:
        """Return the CT series of recent studies with their numbers of instances, by study."""
        today = datetime.fromtimestamp(self._clock())
        first, last = today - timedelta(days=self._config.days_back), today + timedelta(days=1)
        filters = {**self._config.filters, "StudyDate": f"{first:%Y%m%d}-{last:%Y%m%d}", "Modality": "CT"}
        fields = ["StudyInstanceUID", "SeriesInstanceUID", "NumberOfSeriesRelatedInstances"]
        studies: dict[str, dict[str, int]] = {}
        odd = set()
        for row in _pages(
            "0020000E",
            lambda offset: client.search_for_series(search_filters=filters, fields=fields, offset=offset),
            all_named=False,
        ):
            study_uid = ""
            try:
                study_uid = str(_value(row, "0020000D"))
                series_uid = str(_value(row, "0020000E"))
                count = _value(row, "00201209", 0) or len(self._instances(client, study_uid, series_uid))
                studies.setdefault(study_uid, {})[series_uid] = int(count)
            except _TROUBLE as error:  # one study must not hold up the others
                odd.add(study_uid)
                _log.warning("a study is left out: %s", told(error), extra={"study": study_key(study_uid)[:12]})
        return {uid: series for uid, series in studies.items() if uid not in odd}

    def _instances(self, client: DICOMwebClient, study_uid: str, series_uid: str) -> list[str]:
        rows = _pages(
            "00080018",
            lambda offset: client.search_for_instances(study_uid, series_uid, fields=["SOPInstanceUID"], offset=offset),
        )
        return [str(_value(row, "00080018")) for row in rows]

    # --- fetching -----------------------------------------------------------------------------------------------------

    def _fetch(self, client: DICOMwebClient, study_uid: str, series: dict[str, int]) -> None:
        """Fetch what is new of a study; what a crash left half fetched is not fetched again."""
        key = study_key(study_uid)
        self._arrivals.check_instances(sum(series.values()))
        place = self._spool.fetching / key
        durable.make_folder(place)
        known = set(self._record(key)["instances"]) if self._kept(key) else set()
        listed: list[str] = []
        for series_uid in series:
            for sop_uid in self._instances(client, study_uid, series_uid):
                name = file_name(sop_uid)
                listed.append(name)
                if name in known or (place / name).exists():
                    continue
                data = _retrieve(client, study_uid, series_uid, sop_uid)
                self._arrivals.check_room(len(data))
                durable.write(place / name, data, self._spool.tmp)
                self._metrics.fetched.inc()
        record = {"series": _hashed(series), "instances": sorted({*listed, *known})}
        durable.write(place / _RECORD, json.dumps(record).encode(), self._spool.tmp)
        _log.info("study fetched", extra={"study": key[:12], "instances": len(list(place.glob("*.dcm")))})
        self._hand_on(key)

    def _kept(self, key: str) -> bool:
        """Tell whether what was fetched before is still here: late instances are run together with it."""
        arriving = (self._spool.incoming / key).exists()
        return arriving or bool(self._spool.of_study(key)) or any(self._spool.forming.glob(f"*-{key[:16]}"))

    def _hand_on(self, key: str) -> None:
        """Note what was fetched, then bring it into the queue; a crash in between is made up for by `put_right`."""
        place = self._spool.fetching / key
        note, now = self._spool.polled / f"{key}.json", self._clock()
        durable.write(note, (place / _RECORD).read_bytes(), self._spool.tmp)
        os.utime(note, (now, now))
        self._arrivals.adopt(place, key)
        durable.remove_folder(place, self._spool.tmp)

    def _record(self, key: str) -> dict[str, Any]:
        try:
            record: dict[str, Any] = json.loads((self._spool.polled / f"{key}.json").read_bytes())
        except (OSError, ValueError):
            return {"series": {}, "instances": []}
        return record

    def _forget(self) -> None:
        """Drop the notes on studies that are too old, and what was half fetched of those now gone."""
        oldest = self._clock() - (self._config.days_back + 7) * 86_400
        for path in self._spool.polled.glob("*.json"):
            if path.stat().st_mtime < oldest:
                durable.remove_file(path)
        listed = {study_key(study_uid) for study_uid in self._growing}
        for place in self._spool.fetching.iterdir():
            if place.name not in listed:
                durable.remove_folder(place, self._spool.tmp)


def _hashed(series: dict[str, int]) -> dict[str, int]:
    return {study_key(uid): count for uid, count in series.items()}


def _value(row: dict[str, Any], tag: str, absent: Any = None) -> Any:
    """Return the first value of an attribute in a DICOM JSON object."""
    values = row.get(tag, {}).get("Value") or [absent]
    if values[0] is None:
        raise KeyError(tag)
    return values[0]


def _pages(tag: str, ask: Callable[[int], list[dict[str, Any]]], *, all_named: bool = True) -> list[dict[str, Any]]:
    """Return the rows of all pages, each once; a server that knows no pages repeats the first.

    A row without the tag is an error where ``all_named``, else it is left out.
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
        offset += len(rows)


def _retrieve(client: DICOMwebClient, study_uid: str, series_uid: str, sop_uid: str) -> bytes:
    """Return an instance as a DICOM file, its pixels encoded as the server has them."""
    dataset = client.retrieve_instance(study_uid, series_uid, sop_uid)
    if (dataset.StudyInstanceUID, dataset.SOPInstanceUID) != (study_uid, sop_uid):
        raise RetrievalError("the server gave another instance than the one asked for")
    with BytesIO() as file:
        dcmwrite(file, dataset, enforce_file_format=True)
        return file.getvalue()
