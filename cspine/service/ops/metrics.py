"""What is counted: the service's own registry of Prometheus metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.metrics import MetricWrapperBase

_SECONDS = (0.1, 0.5, 1, 2, 5, 10, 20, 40, 60, 120, 300, 600, 1200, 3600)


class Metrics:
    """All metrics of one service; docs/routing.md has them as a table."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self.received = self._counter("instances_received", "Instances taken by DICOM.")
        self.refused = self._counter("instances_refused", "Instances refused, by reason.", "reason")
        self.associations = self._counter("associations", "DICOM associations: accepted, rejected, broken.", "outcome")
        self.polls = self._counter("polls", "Questions to the DICOMweb server: answered, failed.", "outcome")
        self.fetched = self._counter("instances_fetched", "Instances fetched from the DICOMweb server.")
        self.studies = self._counter("studies_received", "Studies that were whole.")
        self.ran = self._counter("studies_run", "Studies run with results.")
        self.failed = self._counter("studies_failed", "Runs that failed, by code of the error.", "code")
        self.deliveries = self._counter(
            "deliveries", "Deliveries of a study: delivered, retried, refused, gave up.", "destination", "outcome"
        )
        self.restarts = self._counter("worker_restarts", "Processes of a device that died or were stopped.", "device")
        self.errors = self._counter("unexpected_errors", "Errors of the service itself, by thread.", "thread")
        self.queue = self._gauge("queue_jobs", "Jobs in the queue, by state.", "state")
        self.oldest_waiting = self._gauge("oldest_waiting_seconds", "How long the oldest study waits for a device.")
        self.pending = self._gauge("deliveries_pending", "Studies that a destination has not got yet.", "destination")
        self.arriving = self._gauge("studies_arriving", "Studies that are not whole yet.")
        self.spool_bytes = self._gauge("spool_bytes", "Size of the spool.")
        self.free_bytes = self._gauge("disk_free_bytes", "Free on the disk of the spool.")
        self.last_study = self._gauge(
            "last_study_timestamp_seconds", "When the last study was run, seconds since 1970."
        )
        self.steps = Histogram(
            "step_seconds", "Seconds that each step of a run took.", ("step",), namespace="cspine",
            registry=self.registry, buckets=_SECONDS,
        )  # fmt: skip

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, namespace="cspine", registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, namespace="cspine", registry=self.registry)


def metrics_table() -> str:
    """Return the table of metrics of docs/routing.md."""
    rows = []
    for metric in vars(Metrics()).values():
        if isinstance(metric, MetricWrapperBase):
            name = metric._name + ("_total" if isinstance(metric, Counter) else "")
            labels = ", ".join(metric._labelnames) or "-"
            rows.append(f"| `{name}` | {metric._type} | {labels} | {metric._documentation} |")
    return "\n".join(["| metric | type | labels | meaning |", "|---|---|---|---|", *rows])
