"""The reliability plot of a calibration: what is observed against what is predicted."""

from __future__ import annotations

from pathlib import Path

from cspine.io.files import write_atomic
from cspine.models.calibration import Calibrated, Calibration, Curve


def write_reliability(calibration: Calibration, title: str, path: Path) -> None:
    """Write the plot as PNG; OutputError if the file cannot be written.

    Parameters
    ----------
    calibration : Calibration
        What is shown, one row for each way of measuring confidence.
    title : str
        The model.
    path : Path
        File to write.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    rows: list[tuple[str, Calibrated]] = [("fast", calibration.fast)]
    if calibration.full is not None:
        rows.append(("full", calibration.full))
    figure, axes = plt.subplots(len(rows), 2, figsize=(8, 4 * len(rows)), squeeze=False, layout="constrained")
    figure.suptitle(f"{title}: {calibration.cases} cases, {calibration.fast.vertebrae} vertebrae")
    for (name, curves), (left, right) in zip(rows, axes, strict=True):
        _draw(left, curves.level, f"level probability, {name}", "share of right levels")
        _draw(right, curves.dice, f"expected Dice, {name}", "Dice against the reference")
    try:
        write_atomic(path, lambda partial: figure.savefig(partial, format="png", dpi=110))
    finally:
        plt.close(figure)


def _draw(axes: object, curve: Curve, across: str, up: str) -> None:
    from matplotlib.axes import Axes

    assert isinstance(axes, Axes)
    largest = max(each.count for each in curve.bins)
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1)
    axes.plot([b.predicted for b in curve.bins], [b.observed for b in curve.bins], color="C0", linewidth=1)
    sizes = [20 + 180 * each.count / largest for each in curve.bins]
    axes.scatter([b.predicted for b in curve.bins], [b.observed for b in curve.bins], s=sizes, color="C0", alpha=0.7)
    for each in curve.bins:
        axes.annotate(str(each.count), (each.predicted, each.observed), (6, -10), textcoords="offset points", size=8)
    axes.set(
        xlim=(0, 1.02), ylim=(0, 1.05), xlabel=across, ylabel=up, title=f"expected calibration error {curve.error:.3f}"
    )
