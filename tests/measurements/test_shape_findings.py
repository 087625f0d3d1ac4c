"""Bodies of an unusual shape and bodies that touch are reported; ordinary ones, and what was not measured, are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cspine.core.volumes import CtVolume, LabelVolume
from cspine.measurements.shape_findings import shape_findings
from cspine.measurements.spine import measure_spine
from cspine.study.synthesis.known_spine import KnownSpine, KnownVertebra, known_spine

FINE, THICK = (0.8, 0.8, 1.0), (0.8, 0.8, 4.0)


def spine_with(level: str = "", **changes: float) -> KnownSpine:
    """C4 to C7, one of them with other dimensions."""
    spine = known_spine()
    chosen = [v for v in spine.vertebrae if v.level in ("C4", "C5", "C6", "C7")]
    return replace(spine, vertebrae=tuple(replace(v, **changes) if v.level == level else v for v in chosen))


def found(spine: KnownSpine, spacing: tuple[float, float, float] = FINE) -> list[tuple[str, str | None]]:
    return in_labels(spine.draw(spine.grid(spacing, (0.3, 0.6, 0.1))))


def in_labels(labels: LabelVolume) -> list[tuple[str, str | None]]:
    ct = CtVolume(np.where(labels.labels_zyx > 0, 300, 40).astype(np.int16), labels.affine_lps)
    findings = shape_findings(measure_spine(labels, ct), labels.grid.spacing_xyz)
    return [(finding.code, finding.level) for finding in findings]


def test_an_ordinary_spine_has_no_finding() -> None:
    assert found(known_spine((0.0, 0.0, 2.0, 4.0, 6.0, 9.0, 13.0, 16.0), (5.0, -4.0, 12.0))) == []


@pytest.mark.parametrize(
    "heights",
    [
        {"anterior": 5.0, "middle": 8.0, "posterior": 12.5},  # a wedge
        {"anterior": 12.5, "middle": 5.5, "posterior": 12.5},  # concave at both ends
        {"anterior": 13.0, "middle": 6.5, "posterior": 5.0},
    ],
)
def test_a_body_with_uneven_heights_is_reported(heights: dict[str, float]) -> None:
    assert found(spine_with("C5", **heights)) == [("CS-FND-043", "C5")]


def test_a_body_that_is_a_little_uneven_is_not_reported() -> None:
    assert found(spine_with("C5", anterior=10.5, middle=11.0, posterior=12.5)) == []


def test_what_is_highest_in_the_middle_is_no_body_and_has_no_heights() -> None:
    spine = spine_with("C5", anterior=8.0, middle=14.0, posterior=8.0)
    labels = spine.draw(spine.grid(FINE, (0.3, 0.6, 0.1)))
    measured = measure_spine(
        labels, CtVolume(np.where(labels.labels_zyx > 0, 300, 40).astype(np.int16), labels.affine_lps)
    )
    assert measured.value("C5", "body_depth_mm") is not None
    assert measured.value("C5", "body_height_middle_mm") is None
    assert measured.value("C4", "body_height_middle_mm") is not None
    assert in_labels(labels) == []


def test_a_body_that_is_low_throughout_is_reported() -> None:
    assert found(spine_with("C5", anterior=6.0, middle=6.0, posterior=6.2)) == [("CS-FND-043", "C5")]


def test_the_last_vertebra_is_not_compared_with_one_neighbour() -> None:
    assert found(spine_with("C7", anterior=6.0, middle=6.0, posterior=6.2)) == []


def test_what_slices_do_not_resolve_is_not_reported() -> None:
    assert found(spine_with("C5", anterior=8.0, middle=9.5, posterior=12.5), (0.8, 0.8, 6.0)) == []


def moved_together(spine: KnownSpine, share: float = 1.0) -> KnownSpine:
    """C5 and all below it are moved up, until its body touches that of C4 or a share of the way."""
    upper, lower = spine.vertebrae[:2]
    gap = upper.centre[2] - lower.centre[2] - (upper.height_at(0.5) + lower.height_at(0.5)) / 2
    lifted = [_lifted(v, gap * share) for v in spine.vertebrae[1:]]
    return replace(spine, vertebrae=(upper, *lifted))


def _lifted(vertebra: KnownVertebra, up_mm: float) -> KnownVertebra:
    x, y, z = vertebra.centre
    return replace(vertebra, centre=(x, y, z + up_mm))


def blocks() -> KnownSpine:
    """Four bodies with flat ends, which touch everywhere or nowhere."""
    spine = spine_with()
    flat = tuple(replace(v, anterior=12.0, middle=12.0, posterior=12.0) for v in spine.vertebrae)
    return replace(spine, vertebrae=flat)


@pytest.mark.parametrize(("share", "expected"), [(1.02, [("CS-FND-044", "C4")]), (0.7, [])])
def test_two_bodies_without_a_disc_are_reported(share: float, expected: list[tuple[str, str]]) -> None:
    assert found(moved_together(blocks(), share)) == expected


def test_bodies_that_touch_in_thick_slices_are_not_reported() -> None:
    assert found(moved_together(blocks(), 1.02), THICK) == []
