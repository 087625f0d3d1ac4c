"""Sessions with DICOMweb servers: certificates, credentials, and which failures are transient."""

from __future__ import annotations

import requests

from cspine.service.config import WebServer

#: HTTP status codes below 500 after which the same request may succeed later.
TRANSIENT_STATUSES = frozenset({401, 403, 408, 425, 429})


def session(server: WebServer) -> requests.Session:
    """Return a session with a DICOMweb server.

    Parameters
    ----------
    server : WebServer
        The server; its password or token is read at each call.

    Raises
    ------
    RoutingConfigError
        If the credentials cannot be read.
    """
    made = requests.Session()
    made.trust_env = False  # ignore proxies and .netrc of the environment
    if server.ca is not None:
        made.verify = str(server.ca)
    credentials = server.credentials
    if credentials is not None and credentials.user is not None:
        made.auth = (credentials.user, credentials.secret())
    elif credentials is not None:
        made.headers["Authorization"] = f"Bearer {credentials.secret()}"
    return made


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
    return f"no response ({type(error).__name__})"
