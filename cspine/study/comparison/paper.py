"""The paper's own tables (Diotalevi et al., EMBC 2025, doi 10.1109/EMBC58623.2025.11253480), machine-readable.

The figures are in paper.yaml beside this module. What is not known of the paper is absent there, never estimated.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

import yaml
from pydantic import BaseModel, ConfigDict, Field

_Range = tuple[float, float]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Strict):
    """The source of the figures."""

    citation: str
    doi: str
    framework: str


class Patients(_Strict):
    """Patients of a subset.

    Parameters
    ----------
    count : int
        How many.
    age_mean, age_sd : float or None
        Years.
    male_percent : float or None
        Share of males.
    sources : tuple of str
        Data sets.
    """

    count: int
    age_mean: float | None = None
    age_sd: float | None = None
    male_percent: float | None = None
    sources: tuple[str, ...] = ()


class Figures(_Strict):
    """One measure of one row of the paper's table.

    Parameters
    ----------
    cross_validation : tuple of float or None
        Least and greatest of the folds' means.
    internal, external : tuple of float
        Mean and SD.
    """

    cross_validation: _Range | None = None
    internal: _Range
    external: _Range


class PValues(_Strict):
    """p-values of one row, cervical against full-spine model."""

    internal: float = Field(ge=0, le=1)
    external: float = Field(ge=0, le=1)


class Paper(_Strict):
    """The paper's tables.

    Parameters
    ----------
    source : Source
        Where they are from.
    notes : tuple of str
        Doubts about single figures.
    patients : dict of str to Patients
        By subset.
    cervical_model : dict of str to dict of str to Figures
        By key of the measure, then by row: C1 .. T1, [C1,T1].
    single_cases : dict of str to dict of str to tuple of float
        By case, then by row: Dice and HD95 in mm.
    p_values : dict of str to dict of str to PValues
        As ``cervical_model``.
    """

    source: Source
    notes: tuple[str, ...]
    patients: dict[str, Patients]
    cervical_model: dict[str, dict[str, Figures]]
    single_cases: dict[str, dict[str, _Range]]
    p_values: dict[str, dict[str, PValues]]


@cache
def paper() -> Paper:
    """Return the paper's tables."""
    text = (resources.files(__package__) / "paper.yaml").read_text(encoding="utf-8")
    return Paper.model_validate(yaml.safe_load(text))
