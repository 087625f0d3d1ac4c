"""Sessions with DICOMweb servers: certificates, credentials, and which failures pass."""

from __future__ import annotations

import requests

from cspine.service.config import WebServer

#: HTTP statuses after which the same request may succeed later.
PASSING = frozenset({401, 403, 408, 425, 429})


def session(server: WebServer) -> requests.Session:
    """Return a session with a DICOMweb server.

    Parameters
    ----------
    server : WebServer
        Its authorities, and how to sign in: the password or token is read now.

    Raises
    ------
    RoutingConfigError
        If the credentials cannot be read.
    """
    made = requests.Session()
    made.trust_env = False  # no proxy and no .netrc that the configuration does not name
    if server.ca is not None:
        made.verify = str(server.ca)
    credentials = server.credentials
    if credentials is not None and credentials.user is not None:
        made.auth = (credentials.user, credentials.secret())
    elif credentials is not None:
        made.headers["Authorization"] = f"Bearer {credentials.secret()}"
    return made


def passes(status: int) -> bool:
    """Tell whether a request with this HTTP status may succeed later.

    A refused sign-in counts: tokens are renewed and accounts unlocked, and no result must be set aside meanwhile.
    """
    return status >= 500 or status in PASSING


def told(error: BaseException) -> str:
    """Return what a failed request says for logs: kind and status; the text may quote a URL with UIDs."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"HTTP status {response.status_code}"
    return f"no answer ({type(error).__name__})"
