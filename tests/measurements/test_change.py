"""Changes since an earlier result."""

from __future__ import annotations

from math import hypot

import pytest

from cspine.measurements.change import EarlierValues, changes_since
from cspine.measurements.quantities import quantity
from cspine.measurements.spine import MeasuredValue, SpineMeasurements

NOW = SpineMeasurements(
    (),
    (
        MeasuredValue("C5", quantity("volume_ml"), 9.0, 0.2, None),
        MeasuredValue("C5", quantity("trabecular_hu"), 180.0, 4.0, None),
        MeasuredValue("C5", quantity("body_width_mm"), 23.0, 0.5, None),
        MeasuredValue("C6", quantity("volume_ml"), 10.0, None, None),
    ),
)
BEFORE = {
    ("C5", "volume_ml"): (9.3, 0.2),
    ("C5", "trabecular_hu"): (240.0, 3.0),
    ("C5", "body_width_mm"): (30.0, 0.5),
    ("C6", "volume_ml"): (11.0, 0.3),
    ("C7", "volume_ml"): (12.0, 0.3),
}


def test_changes_have_the_uncertainty_of_both_values() -> None:
    earlier = EarlierValues("1.2", "20230101", frozenset({"a"}), BEFORE, {}, "120 kV, kernel B")
    changes = changes_since(NOW, earlier, frozenset({"b"}), "120 kV, kernel B")
    assert [(c.site, c.quantity.name, c.difference) for c in changes] == [
        ("C5", "volume_ml", -0.3), ("C5", "trabecular_hu", -60.0), ("C6", "volume_ml", -1.0),
    ]  # fmt: skip
    assert changes[0].uncertainty == pytest.approx(hypot(0.2, 0.2), abs=1e-3) and not changes[0].exceeds_uncertainty
    assert changes[1].uncertainty == 5.0 and changes[1].exceeds_uncertainty
    assert changes[2].uncertainty is None and not changes[2].exceeds_uncertainty
    assert {c.before_date for c in changes} == {"20230101"}


def test_another_result_of_the_same_images_has_no_changes() -> None:
    assert changes_since(NOW, EarlierValues("1.2", "", frozenset({"a", "b"}), BEFORE, {}), frozenset({"b"})) == ()


@pytest.mark.parametrize(("before", "now"), [("", ""), ("120 kV", ""), ("", "120 kV"), ("120 kV", "80 kV")])
def test_densities_of_other_or_unknown_acquisitions_are_not_compared(before: str, now: str) -> None:
    earlier = EarlierValues("1.2", "", frozenset({"a"}), BEFORE, {}, before)
    changes = changes_since(NOW, earlier, frozenset({"b"}), now)
    assert [(c.site, c.quantity.name) for c in changes] == [("C5", "volume_ml"), ("C6", "volume_ml")]


def test_equal_values_everywhere_are_those_of_the_same_images() -> None:
    values = {(site, "volume_ml"): (9.0, 0.2) for site in ("C3", "C4", "C5", "C6", "C7")}
    earlier = EarlierValues("1.2", "", frozenset({"a"}), values, {})

    def now(last: float) -> SpineMeasurements:
        numbers = (9.0, 9.0, 9.0, 9.0, last)
        return SpineMeasurements(
            (),
            tuple(
                MeasuredValue(site, quantity("volume_ml"), number, 0.2, None)
                for (site, _), number in zip(values, numbers, strict=True)
            ),
        )

    assert changes_since(now(9.0), earlier, frozenset()) == ()
    assert changes_since(now(9.001), earlier, frozenset()) == ()
    assert len(changes_since(now(9.2), earlier, frozenset())) == 5
