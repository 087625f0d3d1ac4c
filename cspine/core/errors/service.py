"""Errors of the service (CS-RTE): ports, spool, workers, delivery and retrieval."""

from __future__ import annotations

from cspine.core.errors.base import CSpineError


class RoutingError(CSpineError):
    """The service that receives studies and returns results cannot continue."""

    code = "CS-RTE-001"
    exit_code = 15
    advice = "Run `cspine serve-pacs CONFIG --check` to test the configuration, the folders and the destinations."


class SpoolError(RoutingError):
    """The spool folder cannot be used, or another service is using it."""

    code = "CS-RTE-002"
    advice = "Check the free space and the permissions of the spool folder; each service needs its own."


class ListenerError(RoutingError):
    """The DICOM or HTTP port cannot be opened."""

    code = "CS-RTE-003"
    advice = "Choose another port in the configuration: this one is in use, or it is below 1024."


class WorkerDiedError(RoutingError):
    """The process that ran a study died or exceeded its time limit."""

    code = "CS-RTE-004"
    advice = "Compare the memory with the table of docs/guide/deployment.md. The study is retried, then set aside."


class DeliveryError(RoutingError):
    """Results could not be delivered to a destination."""

    code = "CS-RTE-005"
    advice = "Repair the destination, then run `cspine queue retry`; the results are kept in the spool."


class RetrievalError(RoutingError):
    """A study could not be retrieved from a DICOMweb server."""

    code = "CS-RTE-006"
    advice = "Check the address of the server and the credentials. The retrieval is retried automatically."


class AlteredResultError(RoutingError):
    """A result differs from its checksum: the disk or another program changed it after the run; it is not sent."""

    code = "CS-RTE-007"
    advice = "Check the disk of the spool; `cspine queue retry` runs the study again."
