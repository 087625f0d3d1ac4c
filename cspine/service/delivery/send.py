"""One attempt to send the results of a job to one destination."""

from __future__ import annotations

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

from cspine.core.errors import CSpineError, DeliveryError, RoutingConfigError
from cspine.io.documents import parse_json
from cspine.service.config import Destination, DicomDestination, WebDestination
from cspine.service.network.tls import client_context
from cspine.service.network.web import describe_failure, is_transient, session

_log = logging.getLogger(__name__)

_PROCESSING_FAILURE = 0x0110
#: "Duplicate SOP Instance": the destination has the object already.
_DUPLICATE = 0x0111
#: Transient refusals: not authorised, resource limitation.
_TRANSIENT = {0x0124, 0x0213}


@dataclass(frozen=True)
class SendResult:
    """The result of a delivery attempt.

    Parameters
    ----------
    outcome : str
        ``"delivered"``; ``"retry"`` if another attempt may succeed; ``"refused"`` if none will.
    message : str
        Cause of the failure, without patient data.
    warnings : tuple of str
        Warnings of the destination.
    error : type of CSpineError
        Kind of the failure.
    """

    outcome: Literal["delivered", "retry", "refused"]
    message: str = ""
    warnings: tuple[str, ...] = ()
    error: type[CSpineError] = DeliveryError


def send(files: Sequence[Path], destination: Destination) -> SendResult:
    """Send DICOM files to a destination; failures of network and server are results, not exceptions.

    Parameters
    ----------
    files : sequence of Path
        All results of a job.
    destination : Destination
        Destination.
    """
    try:
        if destination.dicom is not None:
            return _c_store(files, destination.dicom)
        assert destination.dicomweb is not None
        return _stow(files, destination.dicomweb)
    except RoutingConfigError as error:  # a missing certificate or password
        return SendResult("retry", error.message)


# --- C-STORE ----------------------------------------------------------------------------------------------------------


def associate(dicom: DicomDestination, contexts: Sequence[tuple[str, str]]) -> Association:
    """Request an association; its ``is_established`` says whether it was accepted.

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


def _c_store(files: Sequence[Path], dicom: DicomDestination) -> SendResult:
    metas = [read_file_meta_info(path) for path in files]
    needed = sorted({(str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)) for meta in metas})
    association = associate(dicom, sorted({(sop, syntax) for sop, own in needed for syntax in _alternatives(own)}))
    if not association.is_established:
        if association.is_rejected:
            return SendResult("retry", "association rejected")
        if association.acceptor.primitive is not None and not association.accepted_contexts:
            return SendResult("refused", "no presentation context accepted: SOP class not supported")
        return SendResult("retry", "no association: destination unreachable")
    warnings: list[str] = []
    try:
        accepted = {(str(c.abstract_syntax), str(c.transfer_syntax[0])) for c in association.accepted_contexts}
        missing = [sop for sop, own in needed if not any((sop, syntax) in accepted for syntax in _alternatives(own))]
        if missing:
            return SendResult("refused", f"SOP class not supported: {', '.join(missing)}")
        for path in files:
            response = association.send_c_store(dcmread(path))
            if "Status" not in response:
                return SendResult("retry", "connection lost before the response")
            sent = classify_status(int(response.Status))
            if sent.outcome != "delivered":
                return sent
            warnings += sent.warnings
    finally:
        if association.is_established:
            association.release()
    return SendResult("delivered", warnings=tuple(warnings))


def _alternatives(syntax: str) -> tuple[str, ...]:
    """Return the transfer syntaxes an object may be sent in: uncompressed ones include the default (PS3.5, 10.1)."""
    plain = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))
    return plain if syntax in plain else (syntax,)


def classify_status(status: int) -> SendResult:
    """Classify the status of a C-STORE response (PS3.4 table B.2-1, PS3.7 annex C)."""
    if status == 0 or status == _DUPLICATE:
        return SendResult("delivered")
    text = f"status {status:#06x}"
    if status >> 12 == 0xB or status in (0x0001, 0x0107, 0x0116):
        return SendResult("delivered", warnings=(text,))
    if status >> 8 == 0xA7 or status in _TRANSIENT:
        return SendResult("retry", f"{text}: out of resources")
    return SendResult("refused", text)


# --- STOW-RS ----------------------------------------------------------------------------------------------------------


def _stow(files: Sequence[Path], web: WebDestination) -> SendResult:
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
            response = opened.post(
                f"{web.url}/studies", data=body, headers=headers, timeout=web.timeout_s, allow_redirects=False
            )
    except (requests.RequestException, OSError) as error:
        return SendResult("retry", describe_failure(error))
    return classify_response(response.status_code, response.content)


def classify_response(status: int, content: bytes) -> SendResult:
    """Classify the response to a STOW-RS request (PS3.18, 10.5.3).

    Parameters
    ----------
    status : int
        HTTP status.
    content : bytes
        Body; DICOM JSON with the failed instances, if the server follows the standard.
    """
    if is_transient(status):
        return SendResult("retry", f"HTTP status {status}")
    reasons = _failure_reasons(content)
    if status == 202 and reasons is None:
        return SendResult("retry", "HTTP status 202 with an unreadable body")
    if reasons:
        failures = [sent for sent in map(classify_status, reasons) if sent.outcome != "delivered"]
        refused = [sent for sent in failures if sent.outcome == "refused"]
        if failures:
            return (refused or failures)[0]
        return SendResult("delivered")
    if status in (200, 201):
        return SendResult("delivered")
    if status == 202:
        return SendResult("delivered", warnings=("HTTP status 202",))
    return SendResult("refused", f"HTTP status {status}")


def _failure_reasons(content: bytes) -> list[int] | None:
    """Return (0008,1197) *Failure FailureReason* of each item of (0008,1198) *Failed SOP Sequence*; None if unreadable.

    An item without a reason is a processing failure.
    """
    try:
        response: Any = parse_json(content)
        response = response[0] if isinstance(response, list) else response
        items = response.get("00081198", {}).get("Value", [])
        return [_reason(item) for item in items]
    except (ValueError, TypeError, IndexError, AttributeError):
        return None


def _reason(item: dict[str, Any]) -> int:
    try:
        return int(item["00081197"]["Value"][0])
    except (ValueError, TypeError, KeyError, IndexError):
        return _PROCESSING_FAILURE
