"""Measurements as rows for people: every number of the summary, beside ranges where there are any."""

from __future__ import annotations

from pydantic import Field

from cspine.core.norms import MAX_BONE_HU, MIN_BONE_HU, PLAUSIBLE_ML
from cspine.report.measures import measures_of
from cspine.report.plots import WIDTH, plot_of, value_text
from cspine.report.summary import Summary, VertebraSummary
from tests.builders.spine_phantom import Phantom, volumes
from tests.builders.summaries import phantom_summary


def summary_of(**changes: object) -> Summary:
    labels, ct = volumes(Phantom(labels=(3, 4)))
    summary = phantom_summary(labels, ct)
    rows = [row.model_copy(update=changes) if row.level == "C4" else row for row in summary.vertebrae]
    return summary.model_copy(update={"vertebrae": rows})


def test_quantities_have_names_units_and_ranges() -> None:
    volume, density, *others = measures_of(summary_of())
    assert (volume.title, volume.unit, density.title, density.unit) == ("Volume", "ml", "Mean density", "HU")
    assert [value.limits for value in volume.values] == [PLAUSIBLE_ML["C3"], PLAUSIBLE_ML["C4"]]
    assert density.values[0].limits == (MIN_BONE_HU, MAX_BONE_HU)
    assert "CS-FND-004" in volume.source
    assert (others[0].title, others[0].source) == ("Standard deviation of the density", "")
    assert [m.title for m in others[1:]] == [
        "Extent from right to left",
        "Extent from front to back",
        "Extent from foot to head",
    ]


def test_a_value_outside_is_marked_and_a_truncated_one_is_not_compared() -> None:
    small = measures_of(summary_of(volume_ml=1.0))[0]
    assert [value.is_outside for value in small.values] == [False, True]
    assert value_text(small, small.values[1]) == "1.0 !"
    cut = measures_of(summary_of(volume_ml=1.0, touches_edge=True))[0]
    assert (cut.values[1].limits, cut.values[1].is_outside, value_text(cut, cut.values[1])) == (None, False, "1.0 *")


class Grown(VertebraSummary):
    """A row with what a later summary may have."""

    canal_area_mm2: float = 0.0
    values: dict[str, float] = Field(default_factory=dict)
    missing_mm: float | None = None


def test_new_numbers_of_a_summary_become_rows() -> None:
    summary = summary_of()
    rows = [
        Grown(**row.model_dump(), canal_area_mm2=200.4, values={"body_width_mm": 24.26}) for row in summary.vertebrae
    ]
    grown = measures_of(summary.model_copy(update={"vertebrae": rows}))
    found = {m.name: (m.title, m.unit, value_text(m, m.values[0])) for m in grown}
    assert found["canal_area_mm2"] == ("Canal area", "mm²", "200")
    assert found["body_width_mm"] == ("Body width", "mm", "24.3")
    assert "missing_mm" not in found and len(grown) == len(measures_of(summary)) + 2


def test_plots_place_values_on_their_axis() -> None:
    volume = measures_of(summary_of(volume_ml=1.0))[0]
    plot = plot_of(volume)
    ticks = {float(text): x for x, text in plot.ticks}
    low, high = min(ticks), max(ticks)
    for row, value in zip(plot.rows, volume.values, strict=True):
        share = (value.value - low) / (high - low)
        assert abs(row.x - (ticks[low] + share * (ticks[high] - ticks[low]))) < 0.2
        assert row.bar is not None and value.limits is not None
        assert (row.x >= row.bar[0]) is not value.is_outside
    assert plot.left <= min(row.x for row in plot.rows) and plot.right < WIDTH
    assert plot.rows[0].y < plot.rows[1].y < plot.axis_y
