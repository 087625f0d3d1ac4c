"""The handling of one C-STORE request, without the network: validation, storage, and status."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO

from pydicom import Dataset
from pydicom.filereader import read_dataset, read_partial
from pydicom.tag import BaseTag, Tag

from cspine.core.errors import SpoolError
from cspine.dicom.deflated import dataset_bytes, inflated_start, reasonable_bytes
from cspine.io.foreign import raise_system_limit
from cspine.service.intake.inbox import Inbox

_log = logging.getLogger(__name__)

_IDENTIFIERS = ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"]
_TAGS = sorted(Tag(keyword) for keyword in _IDENTIFIERS)
_UID_LENGTH = 64
#: Where the identifiers of a deflated dataset must be found.
_IDENTIFYING_BYTES = 2**20


@dataclass(frozen=True)
class StoreResponse:
    """The response to a C-STORE request (PS3.4, table B.2-1).

    Parameters
    ----------
    status : int
        0x0000 success; 0xA700 out of resources; 0xA900 dataset does not match SOP class; 0xC000 cannot understand.
    reason : str
        Label of the metric; empty for success.
    study_uid : str
        Study Instance UID, if the dataset has one.
    """

    status: int
    reason: str = ""
    study_uid: str = ""


def identify(file: bytes, max_dataset_bytes: int = sys.maxsize) -> Mapping[str, str] | None:
    """Return the identifiers of a DICOM file by keyword, empty where they are missing; None if it cannot be used.

    No more is read than the identifiers need. A deflated dataset is inflated to find its size, but never kept.

    Parameters
    ----------
    file : bytes
        DICOM file with preamble and file meta information.
    max_dataset_bytes : int, optional
        A deflated dataset that inflates to more, or unreasonably, is damaged.

    Raises
    ------
    SystemLimitError, OutOfMemoryError
        If the machine is exhausted: the instance may be good, and should be sent again.
    """
    try:
        limit = min(max_dataset_bytes, reasonable_bytes(len(file)))
        if dataset_bytes(BytesIO(file), limit) > max(limit, len(file)):
            return None
        found = _identifying_elements(file)
        identifiers = {keyword: str(found.get(keyword) or "").strip() for keyword in _IDENTIFIERS}
    except Exception as error:  # pydicom parsers raise many types of exception
        raise_system_limit(error, memory=True)
        return None
    return identifiers if all(uid.isascii() for uid in identifiers.values()) else None


def _identifying_elements(file: bytes) -> Dataset:
    inflated = inflated_start(BytesIO(file), _IDENTIFYING_BYTES)
    if inflated is not None:
        return read_dataset(BytesIO(inflated), False, True, stop_when=_is_beyond, specific_tags=list(_TAGS))
    return read_partial(BytesIO(file), stop_when=_is_beyond, specific_tags=list(_TAGS))


def _is_beyond(tag: BaseTag, vr: str | None, length: int) -> bool:
    return bool(tag > _TAGS[-1])


def validate(identifiers: Mapping[str, str] | None, sop_class_uid: str, sop_instance_uid: str) -> StoreResponse:
    """Compare the identifiers of a dataset with those of the request.

    Parameters
    ----------
    identifiers : mapping, optional
        As `identify` returns it.
    sop_class_uid, sop_instance_uid : str
        (0000,0002) *Affected SOP Class UID* and (0000,1000) *Affected SOP Instance UID*.
    """
    if identifiers is None:
        return StoreResponse(0xC000, "unreadable")
    study_uid = identifiers["StudyInstanceUID"]
    if not all(identifiers.values()) or any(len(uid) > _UID_LENGTH for uid in identifiers.values()):
        return StoreResponse(0xC000, "identifiers", study_uid)
    if (identifiers["SOPClassUID"], identifiers["SOPInstanceUID"]) != (sop_class_uid, sop_instance_uid):
        return StoreResponse(0xA900, "mismatch", study_uid)
    return StoreResponse(0x0000, study_uid=study_uid)


def store(
    inbox: Inbox, file: bytes, sop_class_uid: str, sop_instance_uid: str, begin: Callable[[str], None]
) -> StoreResponse:
    """Store one instance; the status is success only when it is durable.

    Parameters
    ----------
    inbox : Inbox
        Where it is stored.
    file : bytes
        DICOM file; its dataset is encoded as received.
    sop_class_uid, sop_instance_uid : str
        As `validate`.
    begin : callable
        Called with the Study Instance UID before the instance is stored; may raise SpoolError.
    """
    response = validate(identify(file, inbox.max_instance_bytes), sop_class_uid, sop_instance_uid)
    if response.status:
        _log.warning("instance refused: %s", response.reason, extra={"status": f"{response.status:#06x}"})
        return response
    try:
        begin(response.study_uid)
        inbox.add(response.study_uid, sop_instance_uid, file)
    except SpoolError as error:
        _log.error("instance refused: %s", error.message, extra={"code": error.code, "status": "0xa700"})
        return StoreResponse(0xA700, "out_of_resources", response.study_uid)
    return response
