"""A group of commands whose modules are loaded on first use, so that `cspine --help` needs no torch."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

import click


def lazy_group(modules: Mapping[str, str]) -> type[click.Group]:
    """Return the class of a group.

    Parameters
    ----------
    modules : mapping of str to str
        Name of each command, in the order of the help, and the module whose ``command`` it is.
    """

    class LazyGroup(click.Group):
        def list_commands(self, ctx: click.Context) -> list[str]:
            return list(modules)

        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
            if cmd_name not in modules:
                return None
            command = importlib.import_module(modules[cmd_name]).command
            assert isinstance(command, click.Command)
            return command

    return LazyGroup
