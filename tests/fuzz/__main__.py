"""Run a round: `python -m tests.fuzz --seed 1 --count 1000`."""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from pathlib import Path

from tests.fuzz.rounds import Tally, recipes, run_one

#: A mutant that asks for more memory fails with MemoryError, which is a fault.
_MAX_MEMORY = 8 * 2**30


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="seed of the round")
    parser.add_argument("--first", type=int, default=0, help="number of the first mutant")
    parser.add_argument("--count", type=int, default=1000, help="number of mutants")
    parser.add_argument("--faults", type=Path, help="file to which recipes of faults are added, one JSON a line")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY, _MAX_MEMORY))
    tally, start = Tally(), time.monotonic()
    for recipe in recipes(options.seed, options.first, options.count):
        outcome = run_one(recipe)
        tally.add(recipe, outcome)
        if outcome.is_fault:
            line = json.dumps({**recipe.as_json(), "kind": outcome.kind, "detail": outcome.detail})
            sys.stdout.write(line + "\n")
            if options.faults:
                with options.faults.open("a", encoding="utf-8") as file:
                    file.write(line + "\n")
    seconds = time.monotonic() - start
    sys.stdout.write(
        f"seed {options.seed}, mutants {options.first} to {options.first + options.count - 1}, {seconds:.0f} s: "
        f"{dict(sorted(tally.kinds.items()))}; refused {dict(tally.codes.most_common())}\n"
    )
    return 1 if tally.faults else 0


if __name__ == "__main__":
    sys.exit(main())
