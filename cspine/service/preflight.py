"""`cspine serve-pacs --check`: try everything that the configuration names once, and report the results."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import requests
from dicomweb_client.api import DICOMwebClient
from pydicom.uid import ExplicitVRLittleEndian

from cspine.core.errors import CSpineError, DeliveryError, ListenerError, RetrievalError
from cspine.service.config import Destination, ServiceConfig, WebServer
from cspine.service.delivery.send import associate
from cspine.service.intake.listener import VERIFICATION
from cspine.service.network.tls import client_context, server_context
from cspine.service.network.web import describe_failure, session
from cspine.service.startup import inspect_spool, model_of_service


@dataclass(frozen=True)
class PreflightCheck:
    """The result of one preflight check.

    Parameters
    ----------
    name : str
        What was checked.
    passed : bool
        Whether it works.
    detail : str
        What was observed, or why it failed.
    """

    name: str
    passed: bool
    detail: str


def run_preflight(config: ServiceConfig) -> list[PreflightCheck]:
    """Check spool, ports, certificates, model, rules, the polled server and the destinations.

    Parameters
    ----------
    config : ServiceConfig
        A valid configuration.

    Returns
    -------
    list of PreflightCheck
        In the order of the configuration.
    """
    checks = [_try("spool", lambda: _spool(config))]
    if (listener := config.listener) is not None:
        checks.append(_try("listener", lambda: _port_is_free(listener.host, listener.port)))
        if (server_tls := listener.tls) is not None:
            checks.append(_try("listener tls", lambda: str(server_context(server_tls).minimum_version)))
    if (polling := config.polling) is not None:
        checks.append(_try("polling", lambda: _query(polling)))
    checks.append(_try("http", lambda: _port_is_free(config.http.host, config.http.port)))
    checks.append(_try("model", lambda: _model(config)))
    checks.append(_try("rules", lambda: _rules(config)))
    checks += [_try("device", partial(_device, device)) for device in config.run.devices]
    checks += [
        _try(f"destination {destination.name}", partial(_destination, destination))
        for destination in config.destinations
    ]
    return checks


def _try(name: str, attempt: Callable[[], str]) -> PreflightCheck:
    try:
        return PreflightCheck(name, True, attempt())
    except CSpineError as error:
        return PreflightCheck(name, False, str(error))
    except OSError as error:
        return PreflightCheck(name, False, error.strerror or type(error).__name__)


def _spool(config: ServiceConfig) -> str:
    return inspect_spool(config.spool, config.limits.min_free_bytes)


def _port_is_free(host: str, port: int) -> str:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            opened.bind((host, port))
        except OSError as error:
            raise ListenerError(f"cannot open port {port}: {error.strerror}") from error
    return f"port {port} is free"


def _model(config: ServiceConfig) -> str:
    return model_of_service(config.run.model, os.environ, allow_demonstration=config.run.allow_demonstration).title


def _rules(config: ServiceConfig) -> str:
    from cspine.dicom.rules import load_rules

    load_rules(config.run.rules)
    return "built-in rules" if config.run.rules is None else config.run.rules.name


def _device(name: str) -> str:
    from cspine.inference.engines.choose import choose_engine

    return choose_engine(name).device


def _destination(destination: Destination) -> str:
    if destination.dicomweb is not None:
        return _query(destination.dicomweb)
    dicom = destination.dicom
    assert dicom is not None
    if dicom.tls is not None:
        client_context(dicom.tls)
    association = associate(dicom, [(VERIFICATION, ExplicitVRLittleEndian), (VERIFICATION, "1.2.840.10008.1.2")])
    if not association.is_established:
        cause = (
            "the destination rejected the association"
            if association.is_rejected
            else "no association: destination unreachable"
        )
        raise DeliveryError(cause)
    try:
        answer = association.send_c_echo()
    finally:
        association.release()
    if answer.get("Status") != 0:
        raise DeliveryError("C-ECHO failed")
    return "C-ECHO succeeded"


def _query(server: WebServer) -> str:
    try:
        with session(server) as opened:
            client = DICOMwebClient(server.url, session=opened, timeout=server.timeout_s)
            client.set_http_retry_params(retry=False)
            client.search_for_studies(limit=1)
    except (requests.RequestException, ValueError) as error:
        raise RetrievalError(f"QIDO-RS failed: {describe_failure(error)}") from error
    return "QIDO-RS succeeded"
