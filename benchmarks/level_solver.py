"""How often `--solve-levels` makes a full-spine result better: synthetic spines with random errors.

python benchmarks/level_solver.py [--spines 9] [--trials 260]
"""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np

from cspine.core.anatomy import VERTEBRAE
from cspine.core.shape import vertebrae_only
from cspine.postprocessing.level_solver import solve_levels
from cspine.study.synthesis.spine.case import SpineSettings, synthesize_spine
from cspine.study.synthesis.spine.forms import parametric_forms

_ORDER = [level.label for level in VERTEBRAE if level.name != "T13"]
_VIEWS: tuple[str | tuple[str, str], ...] = ("complete", "complete", ("T6", "L3"), ("T10", "L6"), "complete")


def corrupted(true_zyx: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return labels with one to three faults: levels one off, a vertebra split, missing, or partly another."""
    predicted = true_zyx.copy()
    present = [level.label for level in VERTEBRAE if (true_zyx == level.label).any()]
    for _ in range(int(rng.integers(1, 4))):
        count = int(rng.integers(1, 4))
        place = int(rng.integers(0, len(present) - count))
        label, fault = present[place], rng.choice(["shift", "half", "drop", "blob"])
        index = np.argwhere(true_zyx == label)
        if fault == "shift":
            by = int(rng.choice([-1, 1]))
            for moved in present[place : place + count]:
                to = _ORDER.index(moved) + by if moved in _ORDER else -1
                if 0 <= to < len(_ORDER):
                    predicted[true_zyx == moved] = _ORDER[to]
        elif fault == "half":
            axis = int(rng.integers(3))
            part = index[index[:, axis] < np.quantile(index[:, axis], rng.uniform(0.3, 0.7))]
            predicted[tuple(part.T)] = present[int(np.clip(place + rng.choice([-1, 1]), 0, len(present) - 1))]
        elif fault == "drop":
            predicted[true_zyx == label] = 0
        else:
            near = np.linalg.norm(index - index[rng.integers(len(index))], axis=1) < 4
            predicted[tuple(index[near].T)] = present[int(rng.integers(len(present)))]
    return predicted


def main() -> None:
    """Print how many trials improved, worsened, or stayed the same."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spines", type=int, default=9)
    parser.add_argument("--trials", type=int, default=260)
    options = parser.parse_args()
    forms, rng, outcome = parametric_forms(), np.random.default_rng(0), Counter[str]()
    spines = []
    for seed in range(options.spines):
        settings = SpineSettings(view=_VIEWS[seed % len(_VIEWS)], internal_mm=3.0)
        labels = synthesize_spine(forms, seed + 20, settings)[1]
        spines.append((vertebrae_only(labels.labels_zyx), labels.grid))
    outcome["consistent spines changed"] = sum(solve_levels(true, grid)[0] is not true for true, grid in spines)
    for _ in range(options.trials):
        true, grid = spines[int(rng.integers(len(spines)))]
        predicted = corrupted(true, rng)
        solved, _ = solve_levels(predicted, grid)
        before, after = (float((labels == true)[predicted > 0].mean()) for labels in (predicted, solved))
        outcome["better" if after > before + 0.002 else "worse" if after < before - 0.002 else "as before"] += 1
    for words, count in sorted(outcome.items()):
        print(f"{words}: {count}")


if __name__ == "__main__":
    main()
