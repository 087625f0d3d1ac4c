"""`cspine serve-pacs CONFIG`: receive studies, run them, send the results back, for months."""

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
    from cspine.service.config import RoutingConfig


@click.command(name="serve-pacs")
@click.argument("config_file", metavar="CONFIG", required=False, type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Test the configuration and everything it names, then end.")
@click.option("--schema", is_flag=True, help="Print the JSON schema of CONFIG, then end.")
def command(config_file: Path | None, check: bool, schema: bool) -> None:
    """Serve a hospital's PACS as CONFIG (YAML) says, until it is told to stop.

    Studies come in by DICOM or are fetched from a DICOMweb server, are run one after another, and the results go to
    every destination. A crash loses nothing: `cspine queue list SPOOL` shows what waits, `cspine queue retry` brings
    back what had failed. Log lines are JSON; docs/routing.md explains configuration, states and metrics.

    SIGTERM and SIGINT end it cleanly, a second one at once.
    """
    from cspine.service.config import RoutingConfig, load_config

    if schema:
        click.echo(json.dumps(RoutingConfig.model_json_schema(), indent=2))
        return
    if config_file is None:
        raise UsageError("a configuration is needed", advice="deploy/pacs/ has examples.")
    config = load_config(config_file)
    _need_libraries()
    if check:
        from cspine.service.check import check_all

        checks = check_all(config)
        table("Check", ("what", "result", "detail"), [[c.what, "ok" if c.ok else "FAIL", c.told] for c in checks])
        failed = sum(not c.ok for c in checks)
        if failed:
            raise RoutingError(f"{failed} of {len(checks)} checks failed", advice="The lines marked FAIL say why.")
        return
    _serve(config)


def _need_libraries() -> None:
    try:
        import dicomweb_client
        import prometheus_client
        import pynetdicom
    except ImportError as error:
        raise MissingExtraError(f"cspine serve-pacs needs {error.name}: pip install 'cspine[service]'") from error
    del dicomweb_client, prometheus_client, pynetdicom


def _serve(config: RoutingConfig) -> None:
    from cspine.service.ops.json_log import start_json_logging
    from cspine.service.queue.spool import Spool
    from cspine.service.service import Service
    from cspine.service.startup import model_of_service, require_links

    model_of_service(config.run.model, os.environ, allow_demonstration=config.run.allow_demonstration)
    require_links(Spool(config.spool))
    start_json_logging(logging.getLogger("cspine").getEffectiveLevel())
    told = threading.Event()

    def end(signum: int, frame: FrameType | None) -> None:
        if told.is_set():
            os._exit(128 + signum)
        told.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    service = Service(config)
    service.start()
    told.wait()
    service.stop()
    logging.shutdown()
    os._exit(0)  # a delivery that hangs in the network would hold up the end for its timeout
