"""The table of mutations."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.fuzz.case import Case

Change = Callable[[Case, random.Random], None]


class DoesNotApplyError(Exception):
    """A mutation has nothing to change in a series."""


@dataclass(frozen=True)
class Mutation:
    """A mutation; two that share a group are not combined: together they may make another valid series."""

    name: str
    groups: frozenset[str]
    change: Change


MUTATIONS: dict[str, Mutation] = {}


def mutation(groups: str) -> Callable[[Change], Change]:
    """Register a function under its name, in groups separated by spaces."""

    def register(change: Change) -> Change:
        name = change.__name__.replace("_", " ")
        MUTATIONS[name] = Mutation(name, frozenset(groups.split()), change)
        return change

    return register
