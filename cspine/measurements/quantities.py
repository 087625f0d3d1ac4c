"""Every quantity that is measured: its name, unit, digits and definition.

Summary, tables and structured report follow this list;
docs/reference/measurements.md repeats it. Millimetres, degrees and Hounsfield units are those of the patient, whatever
the grid of the labels is.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """What a quantity belongs to."""

    VERTEBRA = "vertebra"
    NEIGHBOURS = "neighbours"
    COLUMN = "column"


@dataclass(frozen=True)
class Quantity:
    """A quantity that is measured.

    Parameters
    ----------
    name : str
        Stable name with its unit, the column of tables.
    title : str
        Name for people.
    unit : str
        UCUM unit.
    scope : Scope
        What it belongs to.
    digits : int
        Decimal digits that are reported.
    definition : str
        How it is measured.
    """

    name: str
    title: str
    unit: str
    scope: Scope
    digits: int
    definition: str


HU = "[hnsf'U]"

_VERTEBRA = (
    ("volume_ml", "Volume", "ml", 3, "Volume of the vertebra with its processes."),
    ("mean_hu", "Mean density", HU, 1, "Mean over all voxels of the vertebra."),
    ("std_hu", "Standard deviation of density", HU, 1, "Standard deviation over all voxels of the vertebra."),
    ("p10_hu", "10th percentile of density", HU, 1, "10th percentile over all voxels of the vertebra."),
    ("median_hu", "Median density", HU, 1, "50th percentile over all voxels of the vertebra."),
    ("p90_hu", "90th percentile of density", HU, 1, "90th percentile over all voxels of the vertebra."),
    ("trabecular_hu", "Trabecular density of the body", HU, 1,
     "Mean over an elliptical cylinder about the centre of the body, along its superior axis: 60 % of the width, 60 % "
     "of the depth, 50 % of the middle height. None for C1 and C2, or with fewer than 20 voxels."),
    ("trabecular_std_hu", "Standard deviation of trabecular density", HU, 1,
     "Standard deviation over the same cylinder."),
    ("eroded_body_hu", "Density of the eroded body", HU, 1,
     "Mean over the body eroded by 4 mm, as TotalSegmentator's spine report (2.18) takes it."),
    ("body_volume_ml", "Volume of the body", "ml", 2,
     "Volume before the posterior wall, without the transverse processes."),
    ("body_height_anterior_mm", "Anterior height of the body", "mm", 2,
     "Height along the superior axis at 15 % of the depth, within 5 mm of the midline."),
    ("body_height_middle_mm", "Middle height of the body", "mm", 2, "The same at 50 % of the depth."),
    ("body_height_posterior_mm", "Posterior height of the body", "mm", 2, "The same at 85 % of the depth."),
    ("wedge_ratio", "Anterior to posterior height", "1", 3, "Anterior height divided by posterior height."),
    ("biconcavity_ratio", "Middle to posterior height", "1", 3, "Middle height divided by posterior height."),
    ("height_loss", "Height loss", "1", 3,
     "1 minus the smallest of the three heights divided by the largest one."),
    ("height_loss_worst", "Height loss in the worst slice", "1", 3,
     "The same in the sagittal slice in which the three heights differ most, as TotalSegmentator's spine report (2.18) "
     "judges it: a potential fracture from 0.2 on."),
    ("body_depth_mm", "Depth of the body", "mm", 2,
     "From the anterior surface to the posterior wall in the midline, at the middle of the height."),
    ("body_width_mm", "Width of the body", "mm", 2,
     "Median width over 15 to 40 % of the height from below and 35 to 65 % of the depth: between the lower end plate "
     "and the roots of the transverse processes."),
    ("canal_diameter_mm", "Sagittal diameter of the canal", "mm", 2,
     "From the middle of the posterior wall to the nearest surface of the arch in the midline; of C1 from the back of "
     "the dens to the posterior arch."),
    ("canal_area_mm2", "Area of the canal", "mm2", 1,
     "Area without bone in the plane of that diameter, perpendicular to the plane of symmetry; of C1 behind the dens."),
    ("canal_body_ratio", "Canal to body ratio", "1", 3,
     "Sagittal diameter of the canal divided by the depth of the body (Torg and Pavlov)."),
    ("spinous_length_mm", "Length of the spinous process", "mm", 2,
     "From the end of the canal's diameter to the furthest point of the arch within 8 mm of the midline."),
)  # fmt: skip
_NEIGHBOURS = (
    ("angle_deg", "Segmental angle", "deg", 1,
     "Between the lower end plates of both vertebrae; lordosis is positive. From C2/C3 to C6/C7 it adds up to the Cobb "
     "angle."),
    ("disc_angle_deg", "Disc angle", "deg", 1, "Between the end plates of the disc; open to the front is positive."),
    ("translation_mm", "Translation", "mm", 2,
     "How far the posterior lower corner of the upper body lies before the posterior upper corner of the lower one, "
     "along the upper end plate of the latter; a slip forward is positive."),
    ("disc_height_anterior_mm", "Anterior disc height", "mm", 2,
     "Distance of the end plates at 15 % of the depth that both share, within 3 mm of the midline."),
    ("disc_height_middle_mm", "Middle disc height", "mm", 2, "The same at 50 % of the depth."),
    ("disc_height_posterior_mm", "Posterior disc height", "mm", 2, "The same at 85 % of the depth."),
    ("facet_gap_right_mm", "Space of the right facet joint", "mm", 2,
     "Mean distance to the upper vertebra over the part of the lower one's superior articular process that is at most "
     "1 mm further from it than its nearest point."),
    ("facet_gap_left_mm", "Space of the left facet joint", "mm", 2, "The same on the left."),
)  # fmt: skip
_COLUMN = (
    ("lordosis_cobb_deg", "C2-C7 lordosis (Cobb)", "deg", 1,
     "Between the lower end plates of C2 and C7; lordosis is positive."),
    ("lordosis_tangent_deg", "C2-C7 lordosis (posterior tangent)", "deg", 1,
     "Between the posterior walls of C2 and C7; lordosis is positive."),
    ("atlantodental_interval_mm", "Atlantodental interval", "mm", 2,
     "Smallest distance of the anterior arch of C1 and the dens in the midline, over the middle 60 % of the arch."),
    ("t1_slope_deg", "T1 slope", "deg", 1,
     "Angle of the upper end plate of T1 to the axial plane of the patient; anterior inclination is positive. The "
     "patient lies: the value of a standing patient differs."),
)  # fmt: skip


def _quantities() -> tuple[Quantity, ...]:
    listed = ((_VERTEBRA, Scope.VERTEBRA), (_NEIGHBOURS, Scope.NEIGHBOURS), (_COLUMN, Scope.COLUMN))
    return tuple(
        Quantity(name, title, unit, scope, digits, definition)
        for rows, scope in listed
        for name, title, unit, digits, definition in rows
    )


#: Every quantity, in the order of tables.
QUANTITIES: tuple[Quantity, ...] = _quantities()

_BY_NAME = {each.name: each for each in QUANTITIES}


def quantity(name: str) -> Quantity:
    """Return the quantity of a name.

    Parameters
    ----------
    name : str
        For example ``"disc_height_middle_mm"``; docs/reference/measurements.md lists all.

    Raises
    ------
    KeyError
        If there is none.
    """
    return _BY_NAME[name]


def quantities_of(scope: Scope) -> tuple[Quantity, ...]:
    """Return the quantities of a scope, in the order of tables.

    Parameters
    ----------
    scope : Scope
        What the quantities belong to: a vertebra, two neighbours, the column.
    """
    return tuple(each for each in QUANTITIES if each.scope is scope)


def quantities_table() -> str:
    """Return the tables of docs/reference/measurements.md, one for each scope."""
    parts = []
    for scope in Scope:
        rows = [f"| `{q.name}` | {q.title} | {q.unit} | {q.definition} |" for q in quantities_of(scope)]
        parts.append("\n".join([f"### {scope.value.capitalize()}", "", "| name | quantity | unit | definition |",
                                "|---|---|---|---|", *rows]))  # fmt: skip
    return "\n\n".join(parts)
