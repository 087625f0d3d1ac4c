"""Answers to C-STORE requests."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage

from cspine.service.config import Limits
from cspine.service.intake.inbox import Inbox
from cspine.service.intake.instances import file_name
from cspine.service.intake.store import store
from cspine.service.queue.job import study_key
from cspine.service.queue.spool import Spool
from tests.builders.segmentations import as_bytes
from tests.builders.studies import ct_datasets

CT = ct_datasets("receive", 1)[0]


def without(keyword: str) -> bytes:
    """The instance without an attribute."""
    dataset = copy.deepcopy(CT)
    delattr(dataset, keyword)
    return as_bytes(dataset)


@pytest.mark.parametrize(
    ("file", "sop_class", "sop_instance", "status", "reason"),
    [
        (as_bytes(CT), CTImageStorage, CT.SOPInstanceUID, 0x0000, ""),
        (as_bytes(CT), CTImageStorage, "1.2.3", 0xA900, "mismatch"),
        (as_bytes(CT), "1.2.840.10008.5.1.4.1.1.4", CT.SOPInstanceUID, 0xA900, "mismatch"),
        (without("StudyInstanceUID"), CTImageStorage, CT.SOPInstanceUID, 0xC000, "identifiers"),
        (without("SeriesInstanceUID"), CTImageStorage, CT.SOPInstanceUID, 0xC000, "identifiers"),
        (without("SOPInstanceUID"), CTImageStorage, CT.SOPInstanceUID, 0xC000, "identifiers"),
        (b"\x00" * 128 + b"DICM" + b"nonsense", CTImageStorage, CT.SOPInstanceUID, 0xC000, "identifiers"),
        (b"nonsense", CTImageStorage, CT.SOPInstanceUID, 0xC000, "unreadable"),
    ],
    ids=["good", "instance", "class", "no study", "no series", "no instance", "garbage", "not DICOM"],
)
def test_an_instance_is_accepted_where_it_is_what_the_request_says(
    file: bytes, sop_class: str, sop_instance: str, status: int, reason: str, tmp_path: Path
) -> None:
    spool = Spool(tmp_path)
    answer = store(Inbox(spool, Limits(min_free_bytes=0)), file, sop_class, sop_instance, lambda study: None)
    assert (answer.status, answer.reason) == (status, reason)
    taken = spool.incoming / study_key(CT.StudyInstanceUID) / file_name(CT.SOPInstanceUID)
    assert taken.exists() == (status == 0)
    assert not list(spool.tmp.iterdir())


@pytest.mark.parametrize(
    "limits",
    [
        Limits(min_free_bytes=2**62),
        Limits(min_free_bytes=0, max_spool_bytes=10),
        Limits(min_free_bytes=0, max_instance_bytes=10),
        Limits(min_free_bytes=0, max_study_instances=1),
    ],
    ids=["disk", "spool", "instance", "study"],
)
def test_a_limit_that_is_reached_is_out_of_resources(limits: Limits, tmp_path: Path) -> None:
    inbox = Inbox(Spool(tmp_path), limits)
    first, second = ct_datasets("limits", 2)
    statuses = [
        store(inbox, as_bytes(d), CTImageStorage, d.SOPInstanceUID, lambda study: None).status
        for d in (first, second, first)
    ]
    assert statuses == ([0, 0xA700, 0] if limits.max_study_instances == 1 else [0xA700] * 3)
