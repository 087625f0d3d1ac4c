"""One C-STORE request: what is checked, and with which status it is answered. Knows no network."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

from pydicom import Dataset, dcmread

from cspine.core.errors import SpoolError
from cspine.service.intake.arrivals import Arrivals

_log = logging.getLogger(__name__)

_IDENTIFIERS = ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"]
_UID_LENGTH = 64


@dataclass(frozen=True)
class Answer:
    """Answer to a C-STORE request (PS3.4, table B.2-1).

    Parameters
    ----------
    status : int
        0x0000 success; 0xA700 out of resources; 0xA900 dataset does not match; 0xC000 cannot understand.
    reason : str
        Label of the metric, empty for success.
    study_uid : str
        Study Instance UID, where the dataset has one.
    """

    status: int
    reason: str = ""
    study_uid: str = ""


def identify(file: bytes) -> Dataset | None:
    """Return the identifiers of a DICOM file, or None where it cannot be read as one.

    Parameters
    ----------
    file : bytes
        With preamble and file meta information.
    """
    try:
        return dcmread(BytesIO(file), stop_before_pixels=True, specific_tags=_IDENTIFIERS)
    except Exception:  # pydicom raises what its parsers stumble over: garbage is garbage
        return None


def check(found: Dataset | None, sop_class_uid: str, sop_instance_uid: str) -> Answer:
    """Compare what a dataset says of itself with what the request says of it.

    Parameters
    ----------
    found : Dataset, optional
        As `identify` gives it.
    sop_class_uid, sop_instance_uid : str
        Affected SOP Class UID and Affected SOP Instance UID of the request.
    """
    if found is None:
        return Answer(0xC000, "unreadable")
    said = {keyword: str(found.get(keyword) or "").strip() for keyword in _IDENTIFIERS}
    study_uid = said["StudyInstanceUID"]
    if not all(said.values()) or any(len(uid) > _UID_LENGTH for uid in said.values()):
        return Answer(0xC000, "identifiers", study_uid)
    if (said["SOPClassUID"], said["SOPInstanceUID"]) != (sop_class_uid, sop_instance_uid):
        return Answer(0xA900, "mismatch", study_uid)
    return Answer(0x0000, study_uid=study_uid)


def store(
    arrivals: Arrivals, file: bytes, sop_class_uid: str, sop_instance_uid: str, begin: Callable[[str], None]
) -> Answer:
    """Take one instance; success is answered when it is durable.

    Parameters
    ----------
    arrivals : Arrivals
        Where it goes.
    file : bytes
        DICOM file, its dataset encoded as it came.
    sop_class_uid, sop_instance_uid : str
        As `check`.
    begin : callable
        Told the Study Instance UID before the instance is taken; may raise SpoolError.
    """
    answer = check(identify(file), sop_class_uid, sop_instance_uid)
    if answer.status:
        _log.warning("instance refused: %s", answer.reason, extra={"status": f"{answer.status:#06x}"})
        return answer
    try:
        begin(answer.study_uid)
        arrivals.add(answer.study_uid, sop_instance_uid, file)
    except SpoolError as error:
        _log.error("instance refused: %s", error.message, extra={"code": error.code, "status": "0xa700"})
        return Answer(0xA700, "out of resources", answer.study_uid)
    return answer
