"""The rules by which a series is selected: a typed model of their YAML file (docs/selection.md)."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from cspine.core.errors import RulesError

#: What the ranking can compare, as `select` understands it.
Criterion = Literal["regular", "thinner", "bone_kernel", "covers_more", "covers_far_more", "more_recent"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Condition(_Strict):
    """A condition on one property. A missing value is refused unless ``allow_missing`` is set."""

    allow_missing: bool = False

    @model_validator(mode="after")
    def _says_something(self) -> _Condition:
        if not self.model_fields_set - {"allow_missing"}:
            raise ValueError("a condition needs something to compare with")
        return self


class TextCondition(_Condition):
    """A condition on text; letter case does not matter. Of a multi-valued attribute, one value has to fit.

    A bare text in the file means ``equals``, a list ``one_of``. Regular expressions are anchored at both ends.
    """

    equals: str | None = None
    one_of: tuple[str, ...] | None = None
    not_one_of: tuple[str, ...] | None = None
    matches: str | None = None
    not_matches: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"equals": value}
        return {"one_of": value} if isinstance(value, list) else value

    @field_validator("matches", "not_matches")
    @classmethod
    def _is_expression(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                re.compile(value)
            except re.error as error:
                raise ValueError(f"not a regular expression: {error}") from error
        return value

    def refusal(self, text: str) -> str | None:
        """Return why the text is refused, or None where it fits; backslashes separate values."""
        values = [value.strip().casefold() for value in text.split("\\") if value.strip()]
        if not values:
            return None if self.allow_missing else "is missing"
        if self.equals is not None and self.equals.casefold() not in values:
            return f"{text!r} is not {self.equals!r}"
        if self.one_of is not None and not set(values) & {choice.casefold() for choice in self.one_of}:
            return f"{text!r} is not one of {', '.join(self.one_of)}"
        if self.not_one_of is not None and set(values) & {choice.casefold() for choice in self.not_one_of}:
            return f"{text!r} is one of {', '.join(self.not_one_of)}"
        if self.matches is not None and not _any_match(self.matches, values):
            return f"{text!r} does not match the expression in full"
        if self.not_matches is not None and _any_match(self.not_matches, values):
            return f"{text!r} matches an expression that is refused"
        return None


class NumberCondition(_Condition):
    """A condition on a number; both ends of a range belong to it. A bare number in the file means ``equals``."""

    equals: float | None = None
    one_of: tuple[float, ...] | None = None
    min: float | None = None
    max: float | None = None

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return {"equals": value}
        return {"one_of": value} if isinstance(value, list) else value

    @model_validator(mode="after")
    def _is_range(self) -> NumberCondition:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min is larger than max")
        return self

    def refusal(self, number: float | None) -> str | None:
        """Return why the number is refused, or None where it fits."""
        if number is None:
            return None if self.allow_missing else "is missing"
        if self.equals is not None and number != self.equals:
            return f"{number:g} is not {self.equals:g}"
        if self.one_of is not None and number not in self.one_of:
            return f"{number:g} is not one of {', '.join(f'{choice:g}' for choice in self.one_of)}"
        if self.min is not None and number < self.min:
            return f"{number:g} is below {self.min:g}"
        if self.max is not None and number > self.max:
            return f"{number:g} is above {self.max:g}"
        return None


class ValuesCondition(_Condition):
    """A condition on the values of Image Type, each compared whole. A list in the file means ``all_of``."""

    all_of: tuple[str, ...] | None = None
    none_of: tuple[str, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        return {"all_of": value} if isinstance(value, list) else value

    def refusal(self, values: tuple[str, ...]) -> str | None:
        """Return why the values are refused, or None where they fit."""
        present = {value.casefold() for value in values}
        lacking = [value for value in self.all_of or () if value.casefold() not in present]
        if lacking and not (self.allow_missing and not values):
            return f"{'/'.join(values) or 'missing'} has no {', '.join(lacking)}"
        unwanted = [value for value in self.none_of or () if value.casefold() in present]
        return f"{'/'.join(values)} has {', '.join(unwanted)}" if unwanted else None


class Requirements(_Strict):
    """What a series must be; every condition that is given has to fit."""

    modality: TextCondition | None = None
    image_type: ValuesCondition | None = None
    kernel: TextCondition | None = None
    description: TextCondition | None = None
    slice_thickness_mm: NumberCondition | None = None
    body_part: TextCondition | None = None
    coverage_mm: NumberCondition | None = None
    orientation: TextCondition | None = None
    slices: NumberCondition | None = None
    contrast: bool | None = None


class Rules(_Strict):
    """A rules file.

    Parameters
    ----------
    require : Requirements
        What a series must be.
    rank : tuple of Criterion
        How the series that fit are compared, first criterion first.
    bone_kernel : TextCondition
        Which convolution kernels the criterion ``bone_kernel`` prefers.
    """

    require: Requirements = Requirements()
    rank: tuple[Criterion, ...] = ("regular", "thinner", "bone_kernel", "covers_more", "more_recent")
    bone_kernel: TextCondition = Field(default=TextCondition(matches="BONE.*"))

    @field_validator("rank")
    @classmethod
    def _once_each(cls, value: tuple[Criterion, ...]) -> tuple[Criterion, ...]:
        if len(set(value)) != len(value):
            raise ValueError("a criterion stands more than once")
        return value


def load_rules(path: Path | None = None, *, full_spine: bool = False) -> Rules:
    """Read a rules file, or one that cspine ships.

    Parameters
    ----------
    path : Path, optional
        YAML as docs/selection.md describes it.
    full_spine : bool
        Without a file: True for the rules of models that go on below T1, False for those of the neck.

    Returns
    -------
    Rules

    Raises
    ------
    RulesError
        If the file cannot be read or does not follow the schema; the message names the fields.
    """
    try:
        name = "full_spine_rules.yaml" if full_spine else "default_rules.yaml"
        shipped = resources.files("cspine.dicom").joinpath(name)
        text = shipped.read_text("utf-8") if path is None else path.read_text("utf-8")
        content = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise RulesError(f"the rules file cannot be read ({type(error).__name__})") from error
    except yaml.YAMLError as error:
        raise RulesError(f"the rules file is not YAML: {error}") from error
    try:
        return Rules.model_validate(content if content is not None else {})
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc'])) or 'file'}: {fault['msg']}" for fault in error.errors())
        raise RulesError(f"the rules file does not follow its schema: {faults}") from error


def _any_match(expression: str, values: list[str]) -> bool:
    return any(re.fullmatch(expression, value, re.IGNORECASE) for value in values)
