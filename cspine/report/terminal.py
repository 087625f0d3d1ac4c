"""Print the results of a run on the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cspine.io.console import table, with_options
from cspine.io.output import SUMMARY

if TYPE_CHECKING:
    from cspine.report.summary import Summary


def print_results(summary: Summary, out: Path) -> None:
    """Print the vertebrae and findings of a run, and where its results are.

    Parameters
    ----------
    summary : Summary
        The summary of the run.
    out : Path
        Its output folder.
    """
    from cspine.core.volumes import ModelIdentity  # brings scipy, which `--help` does not need

    model = ModelIdentity(**summary.model.model_dump())
    columns = {
        "Level": [v.level for v in summary.vertebrae],
        "Segment": ["" if v.segment is None else str(v.segment) for v in summary.vertebrae],
        "Volume ml": [f"{v.volume_ml:.1f}" for v in summary.vertebrae],
        "Mean HU": [f"{v.mean_hu:.0f}" for v in summary.vertebrae],
        "P(level)": ["" if v.level_probability is None else f"{v.level_probability:.2f}" for v in summary.vertebrae],
        "Expected Dice": ["" if v.expected_dice is None else f"{v.expected_dice:.2f}" for v in summary.vertebrae],
        "Remark": ["truncated" if v.touches_edge else "" for v in summary.vertebrae],
    }
    shown = {name: cells for name, cells in columns.items() if name in ("Level", "Volume ml", "Mean HU") or any(cells)}
    rows = list(zip(*shown.values(), strict=True))
    table(f"Vertebrae segmented by {model.title}", tuple(shown), rows)
    for finding in summary.findings:
        click.echo(f"{finding.severity}: {finding.code} {finding.sentence}")
    for warning in (*summary.input.repairs, *summary.warnings):
        click.echo(f"note: {with_options(warning)}")
    for output in summary.outputs:
        click.echo(f"{output.kind:<14} {out / output.file}")
    if (out / "report" / SUMMARY).is_file():
        click.echo(f"{'Summary':<14} {out / 'report' / SUMMARY}")
    click.echo(summary.notice)
