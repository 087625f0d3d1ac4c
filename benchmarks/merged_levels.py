"""How often one label on two vertebrae is told (CS-FND-027), and how often it is told of whole ones.

Reads label images with VerSe's numbers. Each pair of neighbours gets one name in turn, and the levels beyond move up by
one, as where a network counts two vertebrae as one.

python benchmarks/merged_levels.py LABELS
"""

from __future__ import annotations

import argparse
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np

from cspine.core.anatomy import VERTEBRAE, Vertebra
from cspine.core.geometry import Grid
from cspine.core.shape import shapes_of, vertebrae_only
from cspine.io import nifti
from cspine.io.nifti_files import files_in
from cspine.postprocessing.merged_levels import merged_level_findings

_REGIONS = {"C": "C3..C7", "T": "T1..T13", "L": "L1..L6"}


def told(labels_zyx: np.ndarray, grid: Grid) -> set[str | None]:
    """Return the levels that may be two vertebrae."""
    return {finding.level for finding in merged_level_findings(shapes_of(labels_zyx, grid), labels_zyx, grid)}


def united(labels_zyx: np.ndarray, present: list[Vertebra], place: int) -> np.ndarray:
    """Return labels in which two neighbours carry the upper one's name."""
    table = np.arange(256, dtype=np.uint8)
    for level, name in zip(present[place + 1 :], present[place:], strict=False):
        table[level.label] = name.label
    return table[labels_zyx]


def main() -> None:
    """Print how many whole vertebrae and how many pairs are told of, by region."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("labels", type=Path)
    counts, found = Counter[str](), Counter[str]()
    for path in files_in(parser.parse_args().labels):
        read = nifti.read_labels(path)
        labels = vertebrae_only(read.labels_zyx)
        present = [level for level in VERTEBRAE if (labels == level.label).any()]
        wrongly = told(labels, read.grid)
        for level in present:
            if level.name not in ("C1", "C2"):
                counts[f"whole, {_REGIONS[level.region.value]}"] += 1
                found[f"whole, {_REGIONS[level.region.value]}"] += level.name in wrongly
        for place, (upper, _) in enumerate(pairwise(present)):
            if upper.name not in ("C1", "C2"):
                key = f"two with one name, {_REGIONS[upper.region.value]}"
                counts[key] += 1
                found[key] += upper.name in told(united(labels, present, place), read.grid)
    for key in counts:
        print(f"{key}: {found[key]} of {counts[key]} told")


if __name__ == "__main__":
    main()
