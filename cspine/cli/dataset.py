"""`cspine dataset`: from the public data sets to nnU-Net datasets, their splits and their tables."""

from __future__ import annotations

import click

from cspine.cli.lazy_group import lazy_group

_COMMANDS = {
    "convert": "cspine.cli.dataset_convert",
    "split": "cspine.cli.dataset_split",
    "summary": "cspine.cli.dataset_summary",
    "dry-run": "cspine.cli.dataset_dry_run",
}


@click.group(cls=lazy_group(_COMMANDS))
def command() -> None:
    """Make nnU-Net datasets from VerSe, HNSCC-3DCT-RT, CTSpine1K, the Decathlon's colon task and TotalSegmentator.

    The order: convert, summary (review the doubts), convert again with --exclude, split, summary. docs/guide/study.md
    explains it; docs/guide/datasets.md describes the layouts and the doubts.
    """
