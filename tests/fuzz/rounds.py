"""Mutants by their seeds: the same seed gives the same mutant."""

from __future__ import annotations

import json
import random
import signal
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import FrameType

from pydicom import config

from tests.fuzz.case import Case, bases, new_case
from tests.fuzz.mutations import MUTATIONS
from tests.fuzz.mutations.registry import DoesNotApplyError
from tests.fuzz.oracle import Outcome, judge

#: Seconds of computing; no harmless mutant takes a tenth of it.
MAX_SECONDS = 60
CORPUS = Path(__file__).with_name("corpus.json")


@dataclass(frozen=True)
class Recipe:
    """What makes a mutant: a series, the mutations in their order, and the seed of their choices."""

    base: str
    mutations: tuple[str, ...]
    seed: str

    def as_json(self) -> dict[str, object]:
        return {"base": self.base, "mutations": list(self.mutations), "seed": self.seed}


@dataclass
class Tally:
    """The outcomes of a round."""

    kinds: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    faults: list[tuple[Recipe, Outcome]] = field(default_factory=list)

    def add(self, recipe: Recipe, outcome: Outcome) -> None:
        self.kinds[outcome.kind] += 1
        if outcome.kind == "refused":
            self.codes[outcome.detail] += 1
        if outcome.is_fault:
            self.faults.append((recipe, outcome))


def recipes(seed: int, first: int, count: int) -> Iterator[Recipe]:
    """Yield the mutants of a seed by number; each has one to three mutations of different groups."""
    for number in range(first, first + count):
        rng = random.Random(f"{seed}-{number}")
        base = rng.choice(bases())
        wanted, chosen = rng.choice([1, 1, 2, 3]), list[str]()
        for name in rng.sample(sorted(MUTATIONS), len(MUTATIONS)):
            if len(chosen) == wanted:
                break
            if not any(MUTATIONS[name].groups & MUTATIONS[other].groups for other in chosen) and _applies(base, name):
                chosen.append(name)
        yield Recipe(base, tuple(chosen), f"{seed}-{number}")


def corpus() -> list[Recipe]:
    """Return the mutants that once failed."""
    entries = json.loads(CORPUS.read_text(encoding="utf-8"))
    return [Recipe(entry["base"], tuple(entry["mutations"]), entry["seed"]) for entry in entries]


@cache
def _applies(base: str, name: str) -> bool:
    try:
        MUTATIONS[name].change(new_case(base), random.Random(0))
    except DoesNotApplyError:
        return False
    except Exception:  # another seed may do
        return True
    return True


def mutant(recipe: Recipe) -> Case | None:
    """Return the case of a recipe; None where a mutation finds nothing to change after another."""
    case = new_case(recipe.base)
    for name in recipe.mutations:
        rng = random.Random(f"{recipe.seed}-{name}")
        for _ in range(8):
            try:
                MUTATIONS[name].change(case, rng)
                break
            except (DoesNotApplyError, AttributeError, KeyError, TypeError, ValueError, IndexError):
                continue  # a mutation before it took away what it changes
        else:
            return None
    return case


def run(wanted: Iterable[Recipe]) -> Tally:
    """Process mutants one after another."""
    tally = Tally()
    for recipe in wanted:
        tally.add(recipe, run_one(recipe))
    return tally


class _TooLongError(BaseException):
    """A mutant takes longer than any harmless one."""


@contextmanager
def _limited(seconds: int) -> Iterator[None]:
    """Stop what computes for longer, or waits for ten times as long."""

    def stop(signum: int, frame: FrameType | None) -> None:
        raise _TooLongError

    before = [signal.signal(number, stop) for number in (signal.SIGALRM, signal.SIGPROF)]
    signal.alarm(10 * seconds)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        for number, handler in zip((signal.SIGALRM, signal.SIGPROF), before, strict=True):
            signal.signal(number, handler)


def run_one(recipe: Recipe) -> Outcome:
    """Process one mutant."""
    try:
        with _limited(MAX_SECONDS):
            return _run_one(recipe)
    except _TooLongError as error:
        return Outcome("slow", "".join(traceback.format_tb(error.__traceback__)[-8:]))


def _run_one(recipe: Recipe) -> Outcome:
    with config.disable_value_validation(), tempfile.TemporaryDirectory(prefix="fuzz-") as work:
        try:
            case = mutant(recipe)
        except RecursionError:  # a data set too deep to be copied
            return Outcome("unmade")
        return Outcome("unmade") if case is None else judge(case, Path(work))
