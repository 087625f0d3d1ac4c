"""Fetching from a DICOMweb server."""

from __future__ import annotations

import copy
import itertools
import logging
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

from cspine.core.errors import RetrievalError
from cspine.service.config import Limits, Polling
from cspine.service.intake import poll as poll_module
from cspine.service.intake.inbox import Inbox
from cspine.service.intake.instances import INCOMPLETE, file_name
from cspine.service.intake.poll import Poller
from cspine.service.ops.metrics import Metrics
from cspine.service.queue import durable
from cspine.service.queue.job import study_key
from cspine.service.queue.spool import Spool
from tests.builders.segmentations import as_bytes, segmentation_dataset
from tests.builders.studies import ct_datasets
from tests.service.fake_web import FakeWeb


@pytest.fixture
def web() -> Iterator[FakeWeb]:
    web = FakeWeb()
    yield web
    web.stop()


class Site:
    """A poller with its spool, on a clock of its own."""

    def __init__(self, folder: Path, url: str, limits: Limits | None = None) -> None:
        self.now = 2e9
        self.spool = Spool(folder / "spool")
        self.metrics = Metrics()
        config = Polling.model_validate({"url": url, "interval_s": 60, "filters": {"BodyPartExamined": "CSPINE"}})
        inbox = Inbox(self.spool, limits or Limits(min_free_bytes=0), lambda: self.now)
        self.poller = Poller(config, 100, self.spool, inbox, self.metrics, lambda: self.now)

    def poll(self, after_s: float = 0) -> float:
        """Ask after so many seconds."""
        self.now += after_s
        return self.poller.poll()

    def incoming(self) -> list[str]:
        """Names of all that was handed to the queue."""
        return sorted(path.name for path in self.spool.incoming.glob("*/*"))


def file_names(datasets: list) -> list[str]:
    """Names of the files of instances."""
    return sorted(file_name(d.SOPInstanceUID) for d in datasets)


def test_a_study_is_fetched_when_it_has_stopped_growing(web, tmp_path):
    site, datasets = Site(tmp_path, web.url), ct_datasets("poll", 5)
    web.stored = datasets[:4]
    assert site.poll() == 60
    web.stored = datasets
    site.poll(90)
    site.poll(90)
    assert site.incoming() == []
    site.poll(20)
    assert site.incoming() == file_names(datasets)
    first = site.spool.incoming / study_key(datasets[0].StudyInstanceUID) / file_name(datasets[0].SOPInstanceUID)
    assert first.read_bytes()[-500:] == as_bytes(datasets[0])[-500:]
    assert web.asked[0]["BodyPartExamined"] == ["CSPINE"] and web.asked[0]["Modality"] == ["CT"]
    assert web.asked[0]["StudyDate"] == ["20330516-20330519"]


def test_a_late_slice_of_a_study_that_has_left_the_spool_is_fetched_with_all_others(web, tmp_path):
    site, datasets = Site(tmp_path, web.url), ct_datasets("expired", 4)
    web.stored = datasets[:3]
    site.poll()
    site.poll(110)
    shutil.rmtree(site.spool.incoming / study_key(datasets[0].StudyInstanceUID))  # run, delivered, and expired
    web.stored = datasets
    site.poll()
    site.poll(110)
    assert site.incoming() == file_names(datasets)


def test_a_study_that_could_not_be_enqueued_is_enqueued_at_the_next_poll(web, tmp_path, monkeypatch):
    site, datasets = Site(tmp_path, web.url), ct_datasets("full disk", 3)
    web.stored = datasets
    site.poll()
    with monkeypatch.context() as full:
        full.setattr(Inbox, "ingest", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        site.poll(110)
        site.poll(60)
    assert site.incoming() == []
    site.poll(900)
    assert site.incoming() == file_names(datasets)


def test_a_study_that_the_server_has_no_more_leaves_nothing_half_fetched(web, tmp_path):
    site, datasets = Site(tmp_path, web.url), ct_datasets("deleted", 4)
    web.stored = datasets
    site.poll()
    web.broken_after = 2
    site.poll(110)
    assert list(site.spool.fetching.iterdir())
    web.stored = []
    site.poll(110)
    assert not list(site.spool.fetching.iterdir())


def test_a_study_whose_query_fails_does_not_block_others(web, tmp_path, monkeypatch, caplog):
    site, good, odd = Site(tmp_path, web.url), ct_datasets("good", 3), ct_datasets("odd", 3)
    web.stored = [*good, *odd]
    count = Poller._query_instances

    def failing(poller: Poller, client: object, study: str, series: str) -> list[str]:
        if study == odd[0].StudyInstanceUID:
            raise ValueError
        return count(poller, client, study, series)  # type: ignore[arg-type]

    value = poll_module._value

    def uncounted(row: dict, tag: str, absent: object = None) -> object:
        return 0 if tag == "00201209" else value(row, tag, absent)

    monkeypatch.setattr(poll_module, "_value", uncounted)
    monkeypatch.setattr(Poller, "_query_instances", failing)
    site.poll()
    site.poll(110)
    assert site.incoming() == file_names(good)
    assert study_key(odd[0].StudyInstanceUID)[:12] in {vars(record).get("study") for record in caplog.records}


def test_odd_rows_of_an_answer_do_not_stop_the_round(web, tmp_path, monkeypatch):
    site, datasets = Site(tmp_path, web.url), ct_datasets("rows", 3)
    web.stored = datasets
    search = DICOMwebClient.search_for_series

    def with_odd_rows(client: DICOMwebClient, *arguments: object, **named: object) -> list[dict]:
        rows = search(client, *arguments, **named)  # type: ignore[arg-type]
        return [{}, {"0020000E": {"Value": ["1.2"]}, "0020000D": {"Value": [None]}}, *rows]

    monkeypatch.setattr(DICOMwebClient, "search_for_series", with_odd_rows)
    site.poll()
    site.poll(110)
    assert site.incoming() == file_names(datasets)


def test_nothing_is_fetched_twice_and_results_do_not_count(web, tmp_path):
    site, datasets = Site(tmp_path, web.url), ct_datasets("poll", 4)
    web.stored = datasets[:3]
    site.poll()
    site.poll(110)
    web.stored = [*datasets[:3], segmentation_dataset(datasets[0].StudyInstanceUID, "1.2.3")]
    again = Site(tmp_path, web.url)  # a restart
    again.now = site.now
    again.poll()
    again.poll(110)
    assert len(web.retrieved) == 3
    web.stored = datasets
    again.poll(10)
    again.poll(110)
    assert web.retrieved == [d.SOPInstanceUID for d in datasets]


def test_the_interval_grows_while_the_server_is_down(web, tmp_path, caplog):
    site = Site(tmp_path, web.url)
    web.broken = 503
    assert [site.poll() for _ in range(6)] == [120, 240, 480, 900, 900, 900]
    assert "SECRET" not in caplog.text
    web.broken = 0
    assert site.poll() == 60
    web.stop()
    assert site.poll() == 120


def test_an_interrupted_fetch_resumes_and_enqueues_no_partial_study(web, tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    site, datasets = Site(tmp_path, web.url), ct_datasets("poll", 4)
    web.stored = datasets
    site.poll()
    web.broken_after = 2
    site.poll(110)
    assert site.incoming() == []
    (failure,) = [record for record in caplog.records if vars(record).get("code") == RetrievalError.code]
    assert "500" in failure.getMessage()
    web.broken_after = -1
    site.poll(200)
    assert web.retrieved == [d.SOPInstanceUID for d in datasets]
    assert site.incoming() == file_names(datasets)


def test_a_full_disk_stops_a_fetch_until_there_is_space(web, tmp_path):
    datasets = ct_datasets("poll", 3)
    web.stored = datasets
    site = Site(tmp_path, web.url, Limits(min_free_bytes=2**62))
    site.poll()
    site.poll(110)
    assert site.incoming() == []
    roomy = Site(tmp_path, web.url)
    roomy.poll()
    roomy.poll(110)
    assert roomy.incoming() == file_names(datasets)


def test_a_crash_at_any_step_of_a_fetch_loses_nothing(web, tmp_path, monkeypatch):
    datasets = ct_datasets("poll", 2)
    web.stored = datasets
    steps = ("make_folder", "stage", "move", "remove_folder")
    real = {name: getattr(durable, name) for name in steps}
    number = 0
    while True:
        number += 1
        done = 0

        def counted(name: str, *arguments: object, fail_at: int = number) -> object:
            nonlocal done
            done += 1
            if done == fail_at:
                raise KeyboardInterrupt
            return real[name](*arguments)

        site = Site(tmp_path / str(number), web.url)
        site.poll()
        for name in steps:
            monkeypatch.setattr(durable, name, lambda *a, name=name: counted(name, *a))
        try:
            site.poll(110)
        except KeyboardInterrupt:
            crashed = True
        else:
            crashed = False
        for name in steps:
            monkeypatch.setattr(durable, name, real[name])
        again = Site(tmp_path / str(number), web.url)
        again.now = site.now
        again.poller.recover()
        again.poll()
        again.poll(110)
        assert again.incoming() == file_names(datasets)
        assert list(again.spool.fetching.iterdir()) == []
        if not crashed:
            break
    assert number > 10


def deflated_bomb(dataset: Dataset) -> bytes:
    """The instance with 65 MiB of zeros as pixels, deflated."""
    copied = copy.deepcopy(dataset)
    copied.PixelData, copied.file_meta.TransferSyntaxUID = bytes(65 * 2**20), DeflatedExplicitVRLittleEndian
    return as_bytes(copied)


@pytest.mark.parametrize(
    "damage",
    [lambda d: b"nonsense", lambda d: as_bytes(ct_datasets("another", 1)[0]), deflated_bomb, lambda d: b""],
    ids=["garbage", "another instance", "bomb", "empty"],
)
def test_a_damaged_instance_is_left_out_at_once_and_marks_its_study(damage, web, tmp_path):
    site, datasets = Site(tmp_path, web.url), ct_datasets("damaged", 4)
    web.stored, web.files = datasets, {datasets[1].SOPInstanceUID: damage(datasets[1])}
    site.poll()
    site.poll(110)
    assert site.incoming() == sorted([*file_names([datasets[0], *datasets[2:]]), INCOMPLETE])
    assert len(web.retrieved) == 4
    site.poll(110)
    assert len(web.retrieved) == 4  # not asked for again while the study does not change
    del web.files[datasets[1].SOPInstanceUID]
    web.stored = [*datasets, *ct_datasets("damaged", 5)[4:]]
    site.poll()
    site.poll(110)
    assert web.retrieved[4:] == [datasets[1].SOPInstanceUID, web.stored[4].SOPInstanceUID]


def test_a_list_that_is_shorter_than_the_series_is_not_run_but_asked_for_again(web, tmp_path, caplog):
    site, datasets = Site(tmp_path, web.url), ct_datasets("short", 6)
    web.stored, web.max_instances = datasets, 4
    site.poll()
    with caplog.at_level(logging.WARNING):
        site.poll(110)
    assert RetrievalError.code in {getattr(record, "code", "") for record in caplog.records}
    assert "4 of the 6" in caplog.text
    assert site.incoming() == []
    web.max_instances = 0
    site.poll(130)
    assert site.incoming() == file_names(datasets)


@pytest.mark.parametrize("failure", [RecursionError, NotImplementedError, struct.error, EOFError, AssertionError])
def test_no_failure_of_one_study_stops_the_round(failure, web, tmp_path, monkeypatch):
    site, good, bad = Site(tmp_path, web.url), ct_datasets("good", 3), ct_datasets("bad", 3)
    web.stored = [*bad, *good]
    fetch = Poller._fetch

    def failing(poller: Poller, client: object, opened: object, study: str, series: dict) -> None:
        if study == bad[0].StudyInstanceUID:
            raise failure("SECRET^Surname")
        fetch(poller, client, opened, study, series)  # type: ignore[arg-type]

    monkeypatch.setattr(Poller, "_fetch", failing)
    site.poll()
    assert site.poll(110) == 60
    assert site.incoming() == file_names(good)


def test_an_endless_answer_to_a_query_ends(web, tmp_path, monkeypatch):
    monkeypatch.setattr(poll_module, "_MAX_ROWS", 50)
    site, numbers = Site(tmp_path, web.url), itertools.count()
    row = {"0020000D": {"Value": ["1.2"]}, "00201209": {"Value": [1]}}

    def endless(*_: object, **__: object) -> list[dict]:
        return [row | {"0020000E": {"Value": [f"1.2.{next(numbers)}"]}} for _ in range(10)]

    monkeypatch.setattr(DICOMwebClient, "search_for_series", endless)
    assert site.poll() == 120
    assert next(numbers) == 60
