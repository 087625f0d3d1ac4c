"""Alignment of the cervical column: lordosis by two methods, and the slope of T1."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cspine.measurements.geometry import VertebraGeometry
from cspine.measurements.neighbours import lordosis_deg, mean_left


def cobb_deg(levels: Mapping[str, VertebraGeometry], first: str = "C2", last: str = "C7") -> float | None:
    """Return the angle between the lower end plates of two vertebrae, degrees; lordosis is positive.

    Parameters
    ----------
    levels : mapping of str to VertebraGeometry
        Complete vertebrae by level.
    first, last : str
        The upper and the lower one.
    """
    upper, lower = levels.get(first), levels.get(last)
    if upper is None or lower is None or upper.body is None or lower.body is None:
        return None
    return lordosis_deg(
        upper.body.plate_normal(upper.body.bottom), lower.body.plate_normal(lower.body.bottom), mean_left(upper, lower)
    )


def posterior_tangent_deg(levels: Mapping[str, VertebraGeometry], first: str = "C2", last: str = "C7") -> float | None:
    """Return the angle between the posterior walls of two vertebrae (Harrison's method); see `cobb_deg`.

    Parameters
    ----------
    levels : mapping of str to VertebraGeometry
        Geometry by level.
    first, last : str
        Names of the upper and the lower vertebra.

    Returns
    -------
    float or None
        Degrees, positive in lordosis; None if a vertebra or its body is missing.
    """
    upper, lower = levels.get(first), levels.get(last)
    if upper is None or lower is None or upper.body is None or lower.body is None:
        return None
    return lordosis_deg(upper.body.wall_direction(), lower.body.wall_direction(), mean_left(upper, lower))


def slope_deg(levels: Mapping[str, VertebraGeometry], level: str = "T1") -> float | None:
    """Return the angle of an upper end plate to the axial plane of the patient in degrees.

    Anterior inclination is positive. The table of a scanner stands for the floor: the patient lies, so that the value
    differs from one in a standing patient.

    Parameters
    ----------
    levels : mapping of str to VertebraGeometry
        Geometry by level.
    level : str
        Name of the vertebra.

    Returns
    -------
    float or None
        Degrees; None if the vertebra or its body is missing.
    """
    found = levels.get(level)
    if found is None or found.body is None:
        return None
    upright = np.array([0.0, 0.0, 1.0])
    return lordosis_deg(upright, found.body.plate_normal(found.body.top), found.frame.left)
