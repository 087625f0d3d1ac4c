"""Compare the shape of what is called C1 or C2 with its level: every level may have the name of a neighbour.

The part of a midsagittal section that lies before the canal is the anterior arch of C1, as small as a finger; dens and
body of C2, the tallest; and the body of every other vertebra.
"""

from __future__ import annotations

from collections.abc import Sequence

from cspine.core.findings import CONTRADICTS_LEVEL, Finding
from cspine.core.shape import LevelShape
from cspine.core.volumes import LabelVolume
from cspine.measurements.frame import Vector, cut_out, find_frame
from cspine.measurements.geometry import ATLAS, AXIS, column_directions
from cspine.measurements.section import STEP_MM, midsagittal

#: The part of C1 has 0.10 to 0.26 of the area of that of C2, and that of C2 1.1 to 2.1 of that of C3, in seven necks:
#: two real CTs, voxels of 1 to 4.7 mm, the atlas and the people of the generator.
ARCH_TO_BODY = 0.5
_BELOW = {ATLAS: AXIS, AXIS: "C3"}


def anchor_findings(labels: LabelVolume, shapes: Sequence[LevelShape]) -> tuple[Finding, ...]:
    """Return a finding for C1 with a body, and for C2 without one; of complete vertebrae with the next one below.

    Parameters
    ----------
    labels : LabelVolume
        The labels.
    shapes : sequence of LevelShape
        Its vertebrae, from head to foot.
    """
    by_level = {shape.vertebra.name: shape for shape in shapes if not shape.touches_edge}
    wanted = {level for pair in _BELOW.items() if set(pair) <= set(by_level) for level in pair}
    if not wanted:
        return ()
    directions = column_directions(shapes)
    areas = {level: _area_before_canal_mm2(labels, by_level[level], directions[level]) for level in wanted}
    findings = []
    for level, lower in _BELOW.items():
        own, below = areas.get(level), areas.get(lower)
        if own is None or below is None:
            continue
        what = f"{own:.0f} mm2 before the canal in the midsagittal section, {lower} {below:.0f} mm2"
        if level == ATLAS and own > ARCH_TO_BODY * below:
            sentence = f"C1 has {what}: it has a body, so that the levels may be named one too high."
            findings.append(CONTRADICTS_LEVEL.about(sentence, level))
        elif level == AXIS and own < ARCH_TO_BODY * below:
            sentence = f"C2 has {what}: it has the shape of C1, so that the levels may be named one too low."
            findings.append(CONTRADICTS_LEVEL.about(sentence, level))
    return tuple(findings)


def _area_before_canal_mm2(labels: LabelVolume, shape: LevelShape, superior: Vector) -> float | None:
    """Return the area of a vertebra before its canal in the midsagittal plane; None if the section shows no canal."""
    bone = cut_out(labels, shape)
    section = midsagittal(bone, find_frame(bone, superior))
    return None if section is None else float(section.front.sum()) * STEP_MM**2
