"""The handling of one C-STORE request, without the network: validation, storage, and status."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

from pydicom import Dataset, dcmread

from cspine.core.errors import SpoolError
from cspine.service.intake.inbox import Inbox

_log = logging.getLogger(__name__)

_IDENTIFIERS = ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"]
_UID_LENGTH = 64


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


def identify(file: bytes) -> Dataset | None:
    """Return the identifiers of a DICOM file, or None if it cannot be parsed.

    Parameters
    ----------
    file : bytes
        DICOM file with preamble and file meta information.
    """
    try:
        return dcmread(BytesIO(file), stop_before_pixels=True, specific_tags=_IDENTIFIERS)
    except Exception:  # pydicom parsers raise many types of exception
        return None


def validate(found: Dataset | None, sop_class_uid: str, sop_instance_uid: str) -> StoreResponse:
    """Compare the identifiers of a dataset with those of the request.

    Parameters
    ----------
    found : Dataset, optional
        As `identify` returns it.
    sop_class_uid, sop_instance_uid : str
        (0000,0002) *Affected SOP Class UID* and (0000,1000) *Affected SOP Instance UID*.
    """
    if found is None:
        return StoreResponse(0xC000, "unreadable")
    identifiers = {keyword: str(found.get(keyword) or "").strip() for keyword in _IDENTIFIERS}
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
    response = validate(identify(file), sop_class_uid, sop_instance_uid)
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
