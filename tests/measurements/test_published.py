"""The table of published values."""

from __future__ import annotations

import pytest

from cspine.core.anatomy import parse_name
from cspine.measurements.published import find_published, published_values
from cspine.measurements.quantities import quantity
from cspine.measurements.uncertainty import uncertainty_of


def test_every_row_belongs_to_a_quantity_and_to_levels_and_was_read() -> None:
    for row in published_values():
        assert quantity(row.quantity)
        assert row.sex in ("M", "F", "") and row.read_from in ("table", "abstract") and row.source and row.n > 0
        assert row.mean is not None or row.high is not None
        for site in row.sites:
            assert site == "column" or all(parse_name(part) is not None for part in site.split("/"))


def test_the_same_sex_comes_before_both_and_never_the_other() -> None:
    assert find_published("canal_area_mm2", "C5", "F").mean == 252.6
    assert find_published("canal_area_mm2", "C5", "") is None
    assert find_published("atlantodental_interval_mm", "column", "O").mean == 1.3
    assert find_published("disc_height_middle_mm", "C4/C5", "M").mean == 4.1


def test_a_range_is_stated_or_two_deviations_wide() -> None:
    assert find_published("disc_height_middle_mm", "C4/C5").range == pytest.approx((1.7, 6.5))
    assert find_published("spinous_length_mm", "C7", "M").range == (23.7, 61.9)
    assert find_published("facet_gap_left_mm", "C4/C5").range == (None, 2.0)
    assert find_published("lordosis_cobb_deg", "column").z_score(5.0) is None


def test_uncertainty_grows_with_the_distance_of_slices_and_ends_with_the_test() -> None:
    fine, thick = (uncertainty_of("disc_height_middle_mm", (0.5, 0.5, step)) for step in (1.0, 3.0))
    assert fine is not None and thick is not None and 0 < fine < thick
    assert uncertainty_of("disc_height_middle_mm", (0.5, 0.5, 6.0)) is None
    assert uncertainty_of("no_such_quantity", (1.0, 1.0, 1.0)) is None
