"""Plots are written as SVG and PNG, the same bytes each time."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cspine.study.comparison import plots
from cspine.study.comparison.alignment import align
from cspine.study.comparison.plots import write_plots
from cspine.study.comparison.reading import read_evaluation
from cspine.study.comparison.results import Results, compute
from tests.builders.comparisons import FEW, made_up
from tests.builders.evaluation_folders import Line, Scores, missed, write_folder


def test_two_models_have_four_plots_and_the_same_bytes_again(two: Results, tmp_path: Path) -> None:
    plots = write_plots(two, tmp_path / "a")
    assert [plot.name for plot in plots] == ["spread-dice", "spread-hd95", "differences", "volumes"]
    write_plots(two, tmp_path / "b")
    for plot in plots:
        for suffix in (".svg", ".png"):
            first = (tmp_path / "a" / f"{plot.name}{suffix}").read_bytes()
            assert first == (tmp_path / "b" / f"{plot.name}{suffix}").read_bytes()
        text = (tmp_path / "a" / f"{plot.name}.svg").read_text(encoding="utf-8")
        assert not re.search(r"(href|src)=\"https?:", text) and "<dc:date>" not in text
        with Image.open(tmp_path / "a" / f"{plot.name}.png") as image:
            assert image.width > 900 and np.asarray(image.convert("L")).std() > 5


def test_three_models_have_a_plot_of_differences_a_pair(three: Results, tmp_path: Path) -> None:
    names = [plot.name for plot in write_plots(three, tmp_path)]
    assert names == ["spread-dice", "spread-hd95", "differences-2", "differences-3", "volumes"]


def test_one_model_has_no_differences(one: Results, tmp_path: Path) -> None:
    assert [plot.name for plot in write_plots(one, tmp_path)] == ["spread-dice", "spread-hd95", "volumes"]


def test_the_stretched_scale_can_be_undone_and_colours_are_distinguishable() -> None:
    dice = np.linspace(0, 1, 50)
    assert plots._unstretch(plots._stretch(dice)) == pytest.approx(dice)
    assert len(set(plots.COLOURS)) == 6 and set(plots.COLOURS) <= {
        "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7",
    }  # fmt: skip


def test_without_data_a_plot_is_empty(tmp_path: Path) -> None:
    results = made_up(tmp_path, [Scores({"": 1}, levels=("C1",)), Scores({"": 1}, levels=("C1",), seed=2)])
    write_plots(results, tmp_path / "one-case")
    lines = [missed(Line(case, "C1", reference_ml=None)) for case in "ab"]
    folders = [write_folder(tmp_path / name, lines) for name in ("x", "y")]
    write_plots(compute(None, align([read_evaluation(f) for f in folders]), FEW), tmp_path / "missed")
    assert len(list((tmp_path / "missed").iterdir())) == 8
