"""Entry of the `cspine` command: finds the subcommand, and turns an error into its message, advice and exit code."""

from __future__ import annotations

import logging
import sys

import click

import cspine
from cspine.cli.lazy_group import lazy_group
from cspine.core.errors import as_defect
from cspine.io.console import print_error, start_logging
from cspine.io.privacy import frames_of, withhold_foreign_texts
from cspine.io.signals import unwind_on_sigterm

_COMMANDS = {
    "run": "cspine.cli.run",
    "series": "cspine.cli.series",
    "measure": "cspine.cli.measure",
    "models": "cspine.cli.models",
    "synthesize": "cspine.cli.synthesize",
    "dataset": "cspine.cli.dataset",
    "train": "cspine.cli.train",
    "predict": "cspine.cli.predict",
    "evaluate": "cspine.cli.evaluate",
    "compare": "cspine.cli.compare",
    "audit": "cspine.cli.audit",
    "cohort": "cspine.cli.cohort",
    "doctor": "cspine.cli.doctor",
    "surfaces": "cspine.cli.surfaces",
    "mesh": "cspine.cli.mesh",
    "serve-pacs": "cspine.cli.serve_pacs",
    "queue": "cspine.cli.queue",
}


@click.group(
    cls=lazy_group(_COMMANDS), context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(cspine.__version__, "--version", prog_name="cspine")
@click.option("-v", "--verbose", is_flag=True, help="Log every decision, not only the steps.")
@click.option("-q", "--quiet", is_flag=True, help="Log warnings and errors only.")
def cli(verbose: bool, quiet: bool) -> None:
    """Segment the vertebrae C1..C7 and T1 in a CT of the neck and write them as a DICOM Segmentation.

    Research use only; not a medical device. Start with `cspine run IN OUT`.
    """
    start_logging(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)


def main() -> None:
    """Run the command line and exit with the code of the error, as in `cspine.core.errors`."""
    withhold_foreign_texts()
    unwind_on_sigterm()
    try:
        cli(standalone_mode=False)
    except click.ClickException as refused:
        refused.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        sys.exit(130)
    except Exception as unforeseen:
        logging.getLogger("cspine").debug("where it failed:\n%s", frames_of(unforeseen))
        error = as_defect(unforeseen)
        print_error(error)
        sys.exit(error.exit_code)
