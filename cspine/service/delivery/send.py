"""The results of one job on their way to one destination, once: what became of it, in one of four words."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import requests
from pydicom import dcmread
from pydicom.filereader import read_file_meta_info
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from cspine.core.errors import RoutingConfigError
from cspine.service.config import Destination, DicomDestination, WebDestination
from cspine.service.network.tls import client_context
from cspine.service.network.web import passes, session, told

_log = logging.getLogger(__name__)

_PROCESSING_FAILURE = 0x0110
#: "Duplicate SOP Instance": it has the object already.
_DUPLICATE = 0x0111
#: Refusals that pass: out of resources, not authorised.
_BUSY = {0x0124, 0x0213}


@dataclass(frozen=True)
class Sent:
    """What became of an attempt.

    Parameters
    ----------
    outcome : str
        ``"delivered"``; ``"later"`` where another attempt may help; ``"refused"`` where none will.
    message : str
        Why not, without patient data.
    warnings : tuple of str
        What the destination remarked on what it took.
    """

    outcome: Literal["delivered", "later", "refused"]
    message: str = ""
    warnings: tuple[str, ...] = ()


def send(files: Sequence[Path], destination: Destination) -> Sent:
    """Send DICOM files to a destination; never raises for what a network or a server can do.

    Parameters
    ----------
    files : sequence of Path
        All results of a job.
    destination : Destination
        Where they go.
    """
    try:
        if destination.dicom is not None:
            return _c_store(files, destination.dicom)
        assert destination.dicomweb is not None
        return _stow(files, destination.dicomweb)
    except RoutingConfigError as error:  # a certificate or password that is not there now
        return Sent("later", error.message)


# --- C-STORE ----------------------------------------------------------------------------------------------------------


def associate(dicom: DicomDestination, contexts: Sequence[tuple[str, str]]) -> Association:
    """Open an association; ``is_established`` tells whether it came about.

    Parameters
    ----------
    dicom : DicomDestination
        The destination.
    contexts : sequence of (str, str)
        SOP class and transfer syntax of each presentation context.
    """
    ae = AE(dicom.calling_ae_title)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = dicom.timeout_s
    tls = (client_context(dicom.tls), dicom.host) if dicom.tls else None
    proposed = [build_context(sop_class, syntax) for sop_class, syntax in contexts]
    return ae.associate(dicom.host, dicom.port, contexts=proposed, ae_title=dicom.ae_title, tls_args=tls)


def _c_store(files: Sequence[Path], dicom: DicomDestination) -> Sent:
    metas = [read_file_meta_info(path) for path in files]
    needed = sorted({(str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)) for meta in metas})
    association = associate(dicom, sorted({(sop, syntax) for sop, own in needed for syntax in _alternatives(own)}))
    if not association.is_established:
        if association.is_rejected:
            return Sent("later", "the association was rejected")
        if association.acceptor.primitive is not None and not association.accepted_contexts:
            return Sent("refused", "no presentation context was accepted: the SOP class is not supported there")
        return Sent("later", "no association: the destination cannot be reached")
    warnings: list[str] = []
    try:
        accepted = {(str(c.abstract_syntax), str(c.transfer_syntax[0])) for c in association.accepted_contexts}
        missing = [sop for sop, own in needed if not any((sop, syntax) in accepted for syntax in _alternatives(own))]
        if missing:
            return Sent("refused", f"SOP class not supported there: {', '.join(missing)}")
        for path in files:
            answer = association.send_c_store(dcmread(path))
            if "Status" not in answer:
                return Sent("later", "the connection broke before the answer")
            sent = judge_status(int(answer.Status))
            if sent.outcome != "delivered":
                return sent
            warnings += sent.warnings
    finally:
        if association.is_established:
            association.release()
    return Sent("delivered", warnings=tuple(warnings))


def _alternatives(syntax: str) -> tuple[str, ...]:
    """Return the transfer syntaxes in which an object may be sent: uncompressed, also the default one (PS3.5, 10.1)."""
    plain = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))
    return plain if syntax in plain else (syntax,)


def judge_status(status: int) -> Sent:
    """Tell what a status of a C-STORE answer means (PS3.4 table B.2-1, PS3.7 annex C)."""
    if status == 0 or status == _DUPLICATE:
        return Sent("delivered")
    said = f"status {status:#06x}"
    if status >> 12 == 0xB or status in (0x0001, 0x0107, 0x0116):
        return Sent("delivered", warnings=(said,))
    if status >> 8 == 0xA7 or status in _BUSY:
        return Sent("later", f"{said}: out of resources")
    return Sent("refused", said)


# --- STOW-RS ----------------------------------------------------------------------------------------------------------


def _stow(files: Sequence[Path], web: WebDestination) -> Sent:
    boundary = uuid.uuid4().hex
    parts = [
        b"--%b\r\nContent-Type: application/dicom\r\n\r\n%b\r\n" % (boundary.encode(), path.read_bytes())
        for path in files
    ]
    body = b"".join(parts) + b"--%b--\r\n" % boundary.encode()
    headers = {
        "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
        "Accept": "application/dicom+json",
    }
    try:
        with session(web) as opened:
            answer = opened.post(
                f"{web.url}/studies", data=body, headers=headers, timeout=web.timeout_s, allow_redirects=False
            )
    except (requests.RequestException, OSError) as error:
        return Sent("later", told(error))
    return judge_response(answer.status_code, answer.content)


def judge_response(status: int, content: bytes) -> Sent:
    """Tell what the answer to a STOW-RS request means (PS3.18, 10.5.3).

    Parameters
    ----------
    status : int
        HTTP status.
    content : bytes
        Body: DICOM JSON with the instances that failed, or anything.
    """
    if passes(status):
        return Sent("later", f"HTTP status {status}")
    reasons = _failure_reasons(content)
    if status == 202 and reasons is None:
        return Sent("later", "HTTP status 202 with an answer that cannot be read")
    if reasons:
        worst = [sent for sent in map(judge_status, reasons) if sent.outcome != "delivered"]
        refused = [sent for sent in worst if sent.outcome == "refused"]
        if worst:
            return (refused or worst)[0]
        return Sent("delivered")
    if status in (200, 201):
        return Sent("delivered")
    if status == 202:
        return Sent("delivered", warnings=("HTTP status 202",))
    return Sent("refused", f"HTTP status {status}")


def _failure_reasons(content: bytes) -> list[int] | None:
    """Return (0008,1197) *Failure Reason* of each item of (0008,1198) *Failed SOP Sequence*; None if unreadable.

    An item without a reason is a processing failure.
    """
    try:
        answer: Any = json.loads(content)
        answer = answer[0] if isinstance(answer, list) else answer
        items = answer.get("00081198", {}).get("Value", [])
        return [_reason(item) for item in items]
    except (ValueError, TypeError, IndexError, AttributeError):
        return None


def _reason(item: dict[str, Any]) -> int:
    try:
        return int(item["00081197"]["Value"][0])
    except (ValueError, TypeError, KeyError, IndexError):
        return _PROCESSING_FAILURE
