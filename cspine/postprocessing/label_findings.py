"""Findings about vertebrae that hold whoever labelled them: order, size, density, direction, age, units."""

from __future__ import annotations

from cspine.core.facing import impossible_turn_deg
from cspine.core.findings import (
    FACES_ELSEWHERE,
    LEVEL_UNCERTAIN,
    NOT_BONE,
    TOO_DENSE,
    TRUNCATED,
    UNDER_AGE,
    UNITS_DOUBTFUL,
    VERY_SMALL,
    VOLUME_IMPLAUSIBLE,
    Finding,
)
from cspine.core.hounsfield import doubt_hounsfield
from cspine.core.norms import ADULT_YEARS, MAX_BONE_HU, MIN_BONE_HU, VERY_SMALL_ML, plausible_ml
from cspine.core.padding import shapes_in_image
from cspine.core.shape import LevelShape
from cspine.core.volumes import CtVolume, LabelArray, LabelVolume
from cspine.postprocessing.density import mean_density
from cspine.postprocessing.image_findings import image_findings
from cspine.postprocessing.merged_levels import merged_level_findings
from cspine.postprocessing.order import order_findings
from cspine.postprocessing.symmetry import side_findings


def given_label_findings(
    labels: LabelVolume, ct: CtVolume, age_years: float | None, *, bodies_only: bool = False
) -> tuple[Finding, ...]:
    """Return findings about labels that were not predicted here, such as those of a person or of another system.

    They are those of a run, but for what only a prediction has: what was removed from it or renamed, and whether its
    levels could be counted.

    Parameters
    ----------
    labels : LabelVolume
        Labels on the grid of the image.
    ct : CtVolume
        The image.
    age_years : float or None
        Age of the patient at the time of the study; None if unknown.
    bodies_only : bool
        True for labels of vertebral bodies alone: nothing is known about their volumes.

    Returns
    -------
    tuple of Finding
        In the order of the levels, those about the result as a whole first.
    """
    shapes = shapes_in_image(labels, ct)
    findings = [
        *age_findings(age_years),
        *(finding for finding in order_findings(shapes) if finding.code != LEVEL_UNCERTAIN.code),
        *merged_level_findings(shapes, labels.labels_zyx, labels.grid),
        *side_findings(shapes, labels.labels_zyx, labels.affine_lps),
        *facing_findings(labels, shapes),
    ]
    for shape in shapes:
        if not bodies_only or shape.touches_edge:
            findings += volume_findings(shape)
        findings += density_findings(shape, labels.labels_zyx, ct)
    return (*findings, *unit_findings(ct), *image_findings(ct, labels))


def age_findings(age_years: float | None) -> list[Finding]:
    """Return a finding for a patient under 18 years of age."""
    if age_years is None or age_years >= ADULT_YEARS:
        return []
    sentence = "The patient is under 18 years of age; the models and the published values are those of adults."
    return [UNDER_AGE.about(sentence)]


def facing_findings(labels: LabelVolume, shapes: tuple[LevelShape, ...]) -> list[Finding]:
    """Return a finding for a column that is turned further than a neck can be."""
    turn = impossible_turn_deg(labels, shapes)
    if turn is None:
        return []
    return [FACES_ELSEWHERE.about(f"The column is turned by {abs(turn):.0f} degrees against the axes of the patient.")]


def volume_findings(shape: LevelShape) -> list[Finding]:
    """Return findings about the volume of a vertebra: truncated, very small, or outside the range of adults."""
    name, volume = shape.vertebra.name, shape.volume_mm3 / 1000
    low, high = plausible_ml(shape.vertebra)
    findings = []
    if shape.touches_edge:
        sentence = f"{name} is truncated by the edge of the scan; its volume is incomplete ({volume:.1f} ml in view)."
        findings.append(TRUNCATED.about(sentence, name))
    elif volume < VERY_SMALL_ML:
        findings.append(VERY_SMALL.about(f"Only {volume:.2f} ml of {name} were segmented.", name))
    elif volume < low:
        findings.append(
            VOLUME_IMPLAUSIBLE.about(f"{name} measures {volume:.1f} ml, below the {low:.1f} ml of small adults.", name)
        )
    if volume > high:
        findings.append(
            VOLUME_IMPLAUSIBLE.about(f"{name} measures {volume:.1f} ml, above the {high:.1f} ml of large adults.", name)
        )
    return findings


def density_findings(shape: LevelShape, labels_zyx: LabelArray, ct: CtVolume) -> list[Finding]:
    """Return findings about a vertebra whose mean density is not that of bone."""
    name = shape.vertebra.name
    mean_hu = mean_density(ct, shape.box_zyx, labels_zyx[shape.box_zyx] == shape.vertebra.label)
    if mean_hu is not None and mean_hu < MIN_BONE_HU:
        return [NOT_BONE.about(f"The mean density of {name} is {mean_hu:.0f} HU, too low for bone.", name)]
    if mean_hu is not None and mean_hu > MAX_BONE_HU:
        return [TOO_DENSE.about(f"The mean density of {name} is {mean_hu:.0f} HU, too high for bone.", name)]
    return []


def unit_findings(ct: CtVolume) -> tuple[Finding, ...]:
    """Return a finding if the values of an image may not be Hounsfield units."""
    doubt = doubt_hounsfield(ct.hu_zyx)
    return () if doubt is None else (UNITS_DOUBTFUL.about(f"{doubt.reason[0].upper()}{doubt.reason[1:]}."),)
