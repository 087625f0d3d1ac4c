"""`cspine dataset`: from the public data sets to nnU-Net datasets, their splits and their tables."""

from __future__ import annotations

import importlib

import click

_COMMANDS = {
    "convert": "cspine.cli.dataset_convert",
    "split": "cspine.cli.dataset_split",
    "summary": "cspine.cli.dataset_summary",
    "rehearse": "cspine.cli.dataset_rehearse",
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = importlib.import_module(_COMMANDS[cmd_name]).command
        assert isinstance(command, click.Command)
        return command


@click.group(cls=_LazyGroup)
def command() -> None:
    """Make nnU-Net datasets from VerSe, HNSCC-3DCT-RT, CTSpine1K, the Decathlon's colon task and TotalSegmentator.

    The order: convert, summary (look at the doubts), convert again with --exclude, split, summary. docs/study.md goes
    through it; docs/datasets.md shows the layouts and says what each doubt means.
    """
