"""The standard uncertainty of each quantity, as `benchmarks/measurement_uncertainty.py` found it.

``uncertainty.csv`` is what that script writes: for several slice distances the root mean square difference from the
known answer, over spines of solids that were turned, shifted against the grid, and given a surface error of 0.4 mm as
labels of a network have it. It covers sampling, orientation and that error; not labels that are wrong in another way.
"""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources

import numpy as np

_FILE = "uncertainty.csv"
#: Beyond the largest tested distance of slices nothing is stated.
_TOLERANCE = 1.1


@cache
def _table() -> dict[str, tuple[tuple[float, ...], tuple[float, ...]]]:
    text = (resources.files(__package__) / _FILE).read_text(encoding="utf-8")
    found: dict[str, list[tuple[float, float]]] = {}
    for row in csv.DictReader(text.splitlines()):
        found.setdefault(row["quantity"], []).append((float(row["spacing_mm"]), float(row["uncertainty"])))
    return {
        name: (tuple(s for s, _ in sorted(rows)), tuple(u for _, u in sorted(rows))) for name, rows in found.items()
    }


def uncertainty_of(quantity: str, spacing_xyz: tuple[float, float, float]) -> float | None:
    """Return the standard uncertainty of a quantity on a grid; None where it was not tested.

    Parameters
    ----------
    quantity : str
        Name of the quantity.
    spacing_xyz : tuple of float
        Distance of voxels, millimetres: the largest one counts, between tested ones by linear interpolation.
    """
    if quantity not in _table():
        return None
    spacings, values = _table()[quantity]
    largest = max(spacing_xyz)
    return float(np.interp(largest, spacings, values)) if largest <= spacings[-1] * _TOLERANCE else None


def uncertainty_table() -> str:
    """Return the table of docs/reference/measurements.md: one Markdown row for each quantity."""
    spacings = sorted({spacing for columns in _table().values() for spacing in columns[0]})
    head = f"| quantity | {' | '.join(f'{spacing:g} mm' for spacing in spacings)} |"
    rows = []
    for name, (tested, values) in _table().items():
        cells = dict(zip(tested, values, strict=True))
        rows.append(f"| `{name}` | {' | '.join(f'{cells[s]:g}' if s in cells else '' for s in spacings)} |")
    return "\n".join([head, f"|---|{'---|' * len(spacings)}", *rows])
