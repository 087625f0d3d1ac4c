"""Findings about the shape of bodies: one that is much lower somewhere than it should be, and two that touch.

They describe what was measured; what it means is for the radiologist to say.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from cspine.core.findings import NO_DISC_SPACE, UNUSUAL_SHAPE, Finding
from cspine.core.norms import MAX_DISC_VOXEL_MM, MAX_HEIGHT_LOSS, MIN_HEIGHT_RATIO
from cspine.measurements.spine import SpineMeasurements

#: A value lies beyond a limit if it does by this many of its uncertainties, as a change does.
_SURE = 2.0
_HEIGHTS = ("body_height_anterior_mm", "body_height_middle_mm", "body_height_posterior_mm")


def shape_findings(spine: SpineMeasurements, spacing_xyz: tuple[float, float, float]) -> tuple[Finding, ...]:
    """Return findings about the bodies of complete vertebrae below C2.

    Parameters
    ----------
    spine : SpineMeasurements
        The measurements.
    spacing_xyz : tuple of float
        Spacing of the labels that they were taken on, millimetres.

    Returns
    -------
    tuple of Finding
        Those about one body first, from head to foot. A value without a tested uncertainty leads to none.
    """
    return (*_uneven(spine), *_low(spine), *_touching(spine, max(spacing_xyz)))


def _uneven(spine: SpineMeasurements) -> Iterator[Finding]:
    """Yield a finding for each body whose front, middle and back differ in height beyond the norm."""
    for level in (each.level for each in spine.vertebrae):
        loss = next((each for each in spine.at(level) if each.quantity.name == "height_loss"), None)
        if loss is None or loss.uncertainty is None or loss.value - _SURE * loss.uncertainty <= MAX_HEIGHT_LOSS:
            continue
        anterior, middle, posterior = _heights(spine, level)
        yield UNUSUAL_SHAPE.about(
            f"The body of {level} is unusual in shape: {anterior:.1f} mm high in front, {middle:.1f} mm in the middle "
            f"and {posterior:.1f} mm at the back.",
            level,
        )


def _low(spine: SpineMeasurements) -> Iterator[Finding]:
    """Yield a finding for each body that is lower throughout than both neighbours."""
    measured = [(each.level, _heights(spine, each.level)) for each in spine.vertebrae]
    names = set(spine.pairs)
    for (upper, above), ((level, own), (lower, below)) in zip(measured, pairwise(measured[1:]), strict=False):
        if not (above and own and below) or not {f"{upper}/{level}", f"{level}/{lower}"} <= names:
            continue
        height, expected = sum(own) / len(own), min(sum(above) / len(above), sum(below) / len(below))
        if height < MIN_HEIGHT_RATIO * expected:
            yield UNUSUAL_SHAPE.about(
                f"The body of {level} is only {height:.1f} mm high on average, the lower of its neighbours "
                f"{expected:.1f} mm.",
                level,
            )


def _touching(spine: SpineMeasurements, largest_voxel_mm: float) -> Iterator[Finding]:
    if largest_voxel_mm > MAX_DISC_VOXEL_MM:
        return
    for site in spine.touching:
        upper, lower = site.split("/")
        yield NO_DISC_SPACE.about(
            f"The bodies of {upper} and {lower} touch from front to back; no disc space is seen between them.", upper
        )


def _heights(spine: SpineMeasurements, level: str) -> tuple[float, ...]:
    """Return the height of a body at the front, the middle and the back; empty where it was not measured."""
    found = [spine.value(level, name) for name in _HEIGHTS]
    return tuple(height for height in found if height is not None) if all(found) else ()
