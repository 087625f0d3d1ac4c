"""TLS contexts of the listener and of deliveries."""

from __future__ import annotations

import ssl

from cspine.core.errors import RoutingConfigError
from cspine.service.config import ClientTls, ServerTls


def server_context(tls: ServerTls) -> ssl.SSLContext:
    """Return the listener's TLS context (TLS 1.2 or later, PS3.15 B.9 and B.10).

    Raises
    ------
    RoutingConfigError
        If a certificate or key cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.certificate, tls.key)
        if tls.ca is not None:
            context.load_verify_locations(tls.ca)
            context.verify_mode = ssl.CERT_REQUIRED if tls.require_client_certificate else ssl.CERT_OPTIONAL
    except OSError as error:
        raise _unusable("listener.tls", error) from error
    return context


def client_context(tls: ClientTls) -> ssl.SSLContext:
    """Return the TLS context for a destination; raises as `server_context` does."""
    try:
        context = ssl.create_default_context(cafile=tls.ca)
        if tls.certificate is not None:
            context.load_cert_chain(tls.certificate, tls.key)
    except OSError as error:
        raise _unusable("destination tls", error) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = tls.check_host_name
    return context


def _unusable(where: str, error: OSError) -> RoutingConfigError:
    why = getattr(error, "reason", None) or error.strerror or type(error).__name__
    return RoutingConfigError(f"{where}: invalid certificate, key or ca: {why}")
