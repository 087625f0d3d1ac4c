"""`cspine serve-pacs CONFIG`: receive studies, run them and deliver the results."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from cspine.core.errors import MissingExtraError, RoutingError, UsageError
from cspine.io.console import table

if TYPE_CHECKING:
    from cspine.service.config import ServiceConfig


@click.command(name="serve-pacs")
@click.argument("config_file", metavar="CONFIG", required=False, type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Check the configuration and everything that it names, then exit.")
@click.option("--schema", is_flag=True, help="Print the JSON schema of CONFIG, then exit.")
def command(config_file: Path | None, check: bool, schema: bool) -> None:
    """Receive studies from a PACS, run them, and deliver the results, as CONFIG (YAML) specifies.

    Studies arrive by C-STORE or are fetched from a DICOMweb server. They are run one at a time per device, and the
    results are sent to every destination. The queue on disk survives crashes: `cspine queue list SPOOL` lists its
    jobs, `cspine queue retry` retries failed ones. Logs are JSON. docs/guide/routing.md describes the states of a job,
    docs/reference/configuration.md every field of CONFIG, and docs/reference/metrics.md the metrics.

    SIGTERM and SIGINT stop the service; a second signal ends it immediately.
    """
    from cspine.service.config import ServiceConfig, load_config

    if schema:
        click.echo(json.dumps(ServiceConfig.model_json_schema(), indent=2))
        return
    if config_file is None:
        raise UsageError("no configuration file given", advice="deploy/pacs/ has examples.")
    config = load_config(config_file)
    _require_libraries()
    if check:
        from cspine.service.preflight import run_preflight

        checks = run_preflight(config)
        rows = [[check.name, "ok" if check.passed else "FAIL", check.detail] for check in checks]
        table("Preflight", ("check", "result", "detail"), rows)
        failed = sum(not check.passed for check in checks)
        if failed:
            raise RoutingError(f"{failed} of {len(checks)} checks failed", advice="See the checks marked FAIL.")
        return
    _serve(config)


def _require_libraries() -> None:
    try:
        import dicomweb_client
        import prometheus_client
        import pynetdicom
    except ImportError as error:
        raise MissingExtraError(f"cspine serve-pacs needs {error.name}: pip install 'cspine[service]'") from error
    del dicomweb_client, prometheus_client, pynetdicom


def _serve(config: ServiceConfig) -> None:
    from cspine.service.ops.json_log import start_json_logging
    from cspine.service.queue.spool import Spool
    from cspine.service.service import Service
    from cspine.service.startup import model_of_service, require_links

    os.umask(0o077)  # what the service and its workers write is its user's alone
    model_of_service(config.run.model, os.environ, allow_demonstration=config.run.allow_demonstration)
    require_links(Spool(config.spool))
    start_json_logging(logging.getLogger("cspine").getEffectiveLevel())
    stopping = threading.Event()

    def end(signum: int, frame: FrameType | None) -> None:
        if stopping.is_set():
            os._exit(128 + signum)
        stopping.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    service = Service(config)
    service.start()
    stopping.wait()
    service.stop()
    logging.shutdown()
    os._exit(0)  # do not wait for a delivery that hangs in the network
