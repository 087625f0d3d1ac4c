"""The Prometheus metrics of the service, in a registry of their own."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.metrics import MetricWrapperBase

_SECONDS = (0.1, 0.5, 1, 2, 5, 10, 20, 40, 60, 120, 300, 600, 1200, 3600)


class Metrics:
    """All metrics of one service; docs/reference/metrics.md lists them in a table."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self.received = self._counter("instances_received", "Instances received by C-STORE.")
        self.refused = self._counter("instances_refused", "Instances refused, by reason.", "reason")
        self.associations = self._counter("associations", "DICOM associations: accepted, rejected, aborted.", "outcome")
        self.closed = self._counter(
            "connections_closed", "DICOM connections that the service closed, by reason.", "reason"
        )
        self.polls = self._counter("polls", "Queries to the DICOMweb server: succeeded, failed.", "outcome")
        self.fetched = self._counter("instances_fetched", "Instances fetched from the DICOMweb server.")
        self.studies = self._counter("studies_received", "Complete studies received.")
        self.ran = self._counter("studies_run", "Runs that produced results.")
        self.failed = self._counter("studies_failed", "Runs that failed, by error code.", "code")
        self.deliveries = self._counter(
            "deliveries", "Delivery attempts: delivered, retried, refused, abandoned.", "destination", "outcome"
        )
        self.restarts = self._counter("worker_restarts", "Worker processes that died or were killed.", "device")
        self.errors = self._counter("unexpected_errors", "Unexpected errors in the service, by thread.", "thread")
        self.queue = self._gauge("queue_jobs", "Jobs in the queue, by state.", "state")
        self.oldest_waiting = self._gauge("oldest_waiting_seconds", "Waiting time of the oldest queued study.")
        self.pending = self._gauge("deliveries_pending", "Studies not yet delivered to a destination.", "destination")
        self.incoming_studies = self._gauge("studies_incoming", "Studies that are still being received.")
        self.spool_bytes = self._gauge("spool_bytes", "Size of the spool.")
        self.free_bytes = self._gauge("disk_free_bytes", "Free space on the disk of the spool.")
        self.last_study = self._gauge("last_study_timestamp_seconds", "Time of the last run, in seconds since 1970.")
        self.steps = Histogram(
            "step_seconds", "Duration of each step of a run, and of the run (total).", ("step",), namespace="cspine",
            registry=self.registry, buckets=_SECONDS,
        )  # fmt: skip

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, namespace="cspine", registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, namespace="cspine", registry=self.registry)


def metrics_table() -> str:
    """Return the table of metrics of docs/reference/metrics.md."""
    rows = []
    for metric in vars(Metrics()).values():
        if isinstance(metric, MetricWrapperBase):
            name = metric._name + ("_total" if isinstance(metric, Counter) else "")
            labels = ", ".join(metric._labelnames) or "-"
            rows.append(f"| `{name}` | {metric._type} | {labels} | {metric._documentation} |")
    return "\n".join(["| metric | type | labels | meaning |", "|---|---|---|---|", *rows])
