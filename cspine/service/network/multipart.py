"""The DICOM files in the body of a WADO-RS response, as the server sent them."""

from __future__ import annotations

from email.message import Message


class MultipartError(ValueError):
    """A multipart body is malformed or incomplete."""


def dicom_parts(content_type: str, body: bytes) -> list[bytes]:
    """Return the parts of a response (PS3.18, 8.6.1.2; RFC 2046, 5.1).

    Parameters
    ----------
    content_type : str
        Value of the header *Content-Type*; some servers send a single file without multipart.
    body : bytes
        The complete body.

    Raises
    ------
    MultipartError
        If the body is malformed, or its last delimiter is missing.
    """
    message = Message()
    message["Content-Type"] = content_type
    boundary = message.get_param("boundary")
    if message.get_content_maintype() != "multipart" or not isinstance(boundary, str):
        return [body]
    _, *parts = (b"\r\n" + body).split(b"\r\n--" + boundary.encode())
    if not parts or not parts.pop().startswith(b"--"):
        raise MultipartError("the multipart body is incomplete")
    return [_content(part) for part in parts]


def _content(part: bytes) -> bytes:
    """Return a part without its header lines."""
    end = part.find(b"\r\n\r\n")
    if end < 0:
        raise MultipartError("a part of the multipart body has no header")
    return part[end + 4 :]
