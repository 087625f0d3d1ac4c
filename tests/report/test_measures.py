"""Measurements as rows for people: every number of the summary, beside ranges where there are any."""

from __future__ import annotations

from pydantic import Field

from cspine.core.norms import MAX_BONE_HU, MIN_BONE_HU, PLAUSIBLE_ML
from cspine.report.measures import measures_of
from cspine.report.plots import WIDTH, grouped, plot_of, value_text
from cspine.report.summary import MeasurementSummary, Summary, VertebraSummary
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
    assert (others[0].title, others[0].source) == ("Standard deviation of density", "")
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

    rib_area_mm2: float = 0.0
    values: dict[str, float] = Field(default_factory=dict)
    missing_mm: float | None = None


def test_new_numbers_of_a_summary_become_rows() -> None:
    summary = summary_of()
    rows = [
        Grown(**row.model_dump(), rib_area_mm2=200.4, values={"lamina_width_mm": 24.26}) for row in summary.vertebrae
    ]
    grown = measures_of(summary.model_copy(update={"vertebrae": rows}))
    found = {m.name: (m.title, m.unit, value_text(m, m.values[0])) for m in grown}
    assert found["rib_area_mm2"] == ("Rib area", "mm²", "200")
    assert found["lamina_width_mm"] == ("Lamina width", "mm", "24.3")
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


def measured(
    site: str, name: str, value: float, low: float | None = None, high: float | None = None
) -> MeasurementSummary:
    published = None if low is None and high is None else "A journal 2001; n = 50; CT"
    return MeasurementSummary(
        site=site, name=name, value=value, unit="mm", uncertainty=0.2,
        published_low=low, published_high=high, published=published,
    )  # fmt: skip


def test_measured_values_stand_beside_what_is_published() -> None:
    rows = [
        measured("C4", "body_depth_mm", 13.0, 14.0, 18.0),
        measured("C3", "body_depth_mm", 15.0, 14.0, 18.0),
        measured("C3/C4", "translation_mm", 4.2, None, 3.5),
        measured("column", "atlantodental_interval_mm", 1.5, None, 3.0),
    ]
    found = {m.name: m for m in measures_of(summary_of().model_copy(update={"measurements": rows}))}
    depth = found["body_depth_mm"]
    assert (depth.title, depth.source) == ("Depth of the body", "A journal 2001; n = 50; CT")
    assert [(v.site, v.limits, v.is_outside) for v in depth.values] == [
        ("C3", (14.0, 18.0), False),
        ("C4", (14.0, 18.0), True),
    ]
    assert found["translation_mm"].values[0].is_outside
    assert list(found)[-2:] == ["translation_mm", "atlantodental_interval_mm"]
    groups = grouped(tuple(found.values()))
    assert [(group.title, group.sites) for group in groups] == [
        ("Vertebrae", ("C3", "C4")),
        ("Neighbours", ("C3/C4",)),
        ("Column", ("column",)),
    ]
    assert groups[1].cells(("C2/C3", "C3/C4")) == [("Translation, mm", ["–", "4.2 !"])]
    (row,) = groups[1].plots[0].rows
    assert row.bar is not None and row.bar[0] == groups[1].plots[0].ticks[0][0]  # an open range begins at the axis


def test_a_truncated_vertebra_is_in_no_measurement_but_in_the_rows_of_vertebrae() -> None:
    summary = summary_of(touches_edge=True)
    rows = [measured("C3", "volume_ml", 9.0)]
    volume = measures_of(summary.model_copy(update={"measurements": rows}))[0]
    assert [(v.site, v.is_truncated) for v in volume.values] == [("C3", False), ("C4", True)]
    assert volume.values[0].limits == PLAUSIBLE_ML["C3"]
