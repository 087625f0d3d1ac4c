"""Complete runs by the number of slices: what follows from the figures, and packages of several folds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.scaling import figures_of, markdown, plot, with_folds
from tests.builders.nnunet_results import TinyModel


def row(slices: int, seconds: float, tree_gib: float = 1.0, folds: int = 1) -> dict[str, Any]:
    figures = {"seconds": seconds, "processor_seconds": seconds, "tree_gib": tree_gib, "step infer": seconds / 2}
    return {"model": "m", "folds": folds, "slices": slices, **figures}


def test_a_long_scan_is_compared_with_its_neck_part_by_configuration() -> None:
    rows = [row(300, 20.0), row(1500, 50.0), row(300, 60.0, folds=5), row(1500, 90.0, folds=5)]
    figures = figures_of(rows, 300)
    assert figures["longest_against_neck"] == {"slices": [1500, 300], "m, 1 fold": 2.5, "m, 5 folds": 1.5}
    assert "2.50 x" in markdown(figures)
    assert figures_of(rows[:1], 300)["longest_against_neck"] == {"slices": [300, 300]}


@pytest.mark.parametrize(("largest", "fits"), [(6.9, True), (7.1, False)])
def test_a_machine_of_8_gib_has_a_gibibyte_for_its_system(largest: float, fits: bool) -> None:
    figures = figures_of([row(100, 1.0), row(300, 1.0, largest)], 300)
    assert figures["largest_peak_gib"] == largest and figures["fits_8_gib"] is fits


def test_a_package_of_several_folds_has_the_same_weights_in_each(tmp_path: Path) -> None:
    package = TinyModel(folds=("all",)).package(tmp_path / "tiny")
    copied = with_folds(package, 3, tmp_path / "copied")
    (before,), (after,) = package.stages, copied.stages
    assert after.manifest.folds == ("0", "1", "2")
    for fold in after.manifest.folds:
        weights = after.arrays(fold)
        assert weights.keys() == before.arrays("all").keys()
        assert all(np.array_equal(weights[name], values) for name, values in before.arrays("all").items())


def test_the_picture_is_written(tmp_path: Path) -> None:
    plot([row(100, 1.0), row(300, 2.0)], tmp_path / "scaling.png")
    assert (tmp_path / "scaling.png").read_bytes().startswith(b"\x89PNG")
