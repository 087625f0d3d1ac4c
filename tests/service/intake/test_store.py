"""Answers to C-STORE requests."""

from __future__ import annotations

import copy
import errno
import tracemalloc
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import CTImageStorage, DeflatedExplicitVRLittleEndian

from cspine.core.errors import CSpineError, OutOfMemoryError, SystemLimitError
from cspine.service.config import Limits
from cspine.service.intake.inbox import Inbox
from cspine.service.intake.instances import file_name, is_ct
from cspine.service.intake.store import identify, store
from cspine.service.queue.job import study_key
from cspine.service.queue.spool import Spool
from tests.builders.segmentations import as_bytes
from tests.builders.studies import ct_datasets

CT = ct_datasets("receive", 1)[0]


def deflated(dataset: Dataset) -> bytes:
    """The instance in Deflated Explicit VR Little Endian."""
    copied = copy.deepcopy(dataset)
    copied.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    return as_bytes(copied)


def bomb() -> bytes:
    """A deflated instance that is 1000 times as large as its file: its pixels are 100 MiB of zeros."""
    dataset = copy.deepcopy(CT)
    dataset.PixelData = bytes(100 * 2**20)
    return deflated(dataset)


def beyond(limit: int) -> bytes:
    """An instance whose identifiers come after so many bytes of another element, deflated."""
    dataset = copy.deepcopy(CT)
    dataset.add_new(0x00090010, "LO", "CSPINE TEST")
    dataset.add_new(0x00091001, "OB", bytes(limit))
    return deflated(dataset)


def malformed() -> bytes:
    """The instance with a Study Instance UID of a value representation that does not exist."""
    return as_bytes(CT).replace(b"\x20\x00\x0d\x00UI", b"\x20\x00\x0d\x00ZZ")


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
        (deflated(CT), CTImageStorage, CT.SOPInstanceUID, 0x0000, ""),
        (deflated(CT)[:-100], CTImageStorage, CT.SOPInstanceUID, 0x0000, ""),
        (bomb(), CTImageStorage, CT.SOPInstanceUID, 0xC000, "unreadable"),
        (beyond(2**20), CTImageStorage, CT.SOPInstanceUID, 0xC000, "identifiers"),
        (malformed(), CTImageStorage, CT.SOPInstanceUID, 0xC000, "unreadable"),
    ],
    ids=[
        "good",
        "instance",
        "class",
        "no study",
        "no series",
        "no instance",
        "garbage",
        "not DICOM",
        "deflated",
        "truncated",
        "bomb",
        "late identifiers",
        "malformed",
    ],
)
def test_an_instance_is_accepted_where_it_is_what_the_request_says(
    file: bytes, sop_class: str, sop_instance: str, status: int, reason: str, tmp_path: Path
) -> None:
    spool = Spool(tmp_path)
    tracemalloc.start()
    answer = store(Inbox(spool, Limits(min_free_bytes=0)), file, sop_class, sop_instance, lambda study: None)
    assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
    tracemalloc.stop()
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


@pytest.mark.parametrize(
    ("refused", "error"),
    [(OSError(errno.EMFILE, ""), SystemLimitError), (OSError(errno.ENOMEM, ""), SystemLimitError),
     (MemoryError(), OutOfMemoryError)],
)  # fmt: skip
def test_an_exhausted_machine_is_no_damage_of_the_instance(
    refused: Exception, error: type[CSpineError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: object, **__: object) -> None:
        raise refused

    monkeypatch.setattr("cspine.service.intake.store.read_partial", exhausted)
    (dataset,) = ct_datasets("exhausted", 1)
    with pytest.raises(error):
        identify(as_bytes(dataset))
    monkeypatch.setattr("cspine.service.intake.instances.read_file_meta_info", exhausted)
    if error is SystemLimitError:
        with pytest.raises(error):
            is_ct(tmp_path / "instance.dcm")
    else:  # a damaged file may ask for any memory
        assert not is_ct(tmp_path / "instance.dcm")
