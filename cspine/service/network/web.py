"""Sessions with DICOMweb servers: certificates, credentials, and which failures are transient."""

from __future__ import annotations

import time
from functools import partial

import requests
import urllib3

from cspine.service.config import WebServer

#: HTTP status codes below 500 after which the same request may succeed later.
TRANSIENT_STATUSES = frozenset({401, 403, 408, 425, 429})

#: Metadata, and responses to stored objects.
MAX_TEXT_BYTES = 32 * 2**20
_MIN_BYTES_PER_S = 65_536
_CHUNK_BYTES = 65_536


class OversizedBodyError(requests.RequestException):
    """The body of a response is larger than any that was asked for."""


def session(server: WebServer, max_body_bytes: int = MAX_TEXT_BYTES) -> requests.Session:
    """Return a session with a DICOMweb server, whose responses are bounded in size and time while they arrive.

    A body may take the server's timeout, and a second for each 64 KiB received.

    Parameters
    ----------
    server : WebServer
        The server; its password or token is read at each call.
    max_body_bytes : int, optional
        Largest body with DICOM files, decoded; others may have at most 32 MiB.

    Raises
    ------
    RoutingConfigError
        If the credentials cannot be read.
    """
    made = requests.Session()
    made.trust_env = False  # ignore proxies and .netrc of the environment
    made.hooks["response"].append(partial(_receive, max_body_bytes, server.timeout_s))
    if server.ca is not None:
        made.verify = str(server.ca)
    credentials = server.credentials
    if credentials is not None and credentials.user is not None:
        made.auth = (credentials.user, credentials.secret())
    elif credentials is not None:
        made.headers["Authorization"] = f"Bearer {credentials.secret()}"
    return made


def _receive(max_body_bytes: int, timeout_s: float, response: requests.Response, **_: object) -> None:
    """Read the body of a response, before redirections are followed; close the connection at a bound."""
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    has_files = kind in ("multipart/related", "application/dicom")
    limit = max_body_bytes if has_files else min(max_body_bytes, MAX_TEXT_BYTES)
    started, body = time.monotonic(), bytearray()
    try:
        while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
            body += chunk
            if len(body) > limit:
                raise OversizedBodyError
            if time.monotonic() - started > timeout_s + len(body) / _MIN_BYTES_PER_S:
                raise requests.ReadTimeout
    except urllib3.exceptions.HTTPError as error:
        raise requests.ConnectionError(error) from error
    finally:
        response.close()
    response._content, response._content_consumed = bytes(body), True  # what requests would have read


def is_transient(status: int) -> bool:
    """Return whether a request with this HTTP status may succeed later.

    Failed authentication counts as transient: tokens are renewed and accounts unlocked, and no result may be lost
    in the meantime.
    """
    return status >= 500 or status in TRANSIENT_STATUSES


def describe_failure(error: BaseException) -> str:
    """Return the kind and status of a failed request for logs; its own text may contain a URL with UIDs."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"HTTP status {response.status_code}"
    kind = "no" if isinstance(error, requests.RequestException | OSError) else "unusable"
    return f"{kind} response ({type(error).__name__})"
