"""The rules of series selection: a typed model of their YAML file (docs/guide/selection.md)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from cspine.core.anatomy import CERVICAL_LEVELS, Vertebra, is_full_spine
from cspine.core.errors import RulesError
from cspine.io.documents import DocumentError, parse_yaml, read_yaml

#: Criteria of the ranking, which `select` implements.
Criterion = Literal["regular", "thinner", "bone_kernel", "covers_more", "covers_far_more", "more_recent"]


#: Sharp kernels by vendor: GE; Siemens; Canon; Philips.
BONE_KERNELS = r"BONE.*|EDGE|ULTRA|[BHIJ][67]\d.*|B8\d.*|[BH]r(59|6\d|7\d).*|FC(30|31|35|80|81)|D|E|YC|YD"

#: Values of (0008,0060) *Modality* that occur beside CT, and the orientations of `series`.
_DICOM_WORDS = {
    *("CT", "MR", "PT", "NM", "US", "CR", "DX", "DR", "MG", "XA", "RF", "SC", "OT", "SR", "SEG", "RTSTRUCT", "RTDOSE"),
    *("RTPLAN", "RTIMAGE", "REG", "PR", "KO", "DOC", "M3D", "AXIAL", "CORONAL", "SAGITTAL"),
}


#: A regular expression; a longer one is no condition that a person wrote.
Expression = Annotated[str, Field(max_length=1000)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Condition(_Strict):
    """A condition on one property; a missing value is rejected unless ``allow_missing`` is set."""

    allow_missing: bool = False

    @model_validator(mode="after")
    def _is_not_empty(self) -> _Condition:
        if not self.model_fields_set - {"allow_missing"}:
            raise ValueError("the condition is empty")
        return self


class TextCondition(_Condition):
    """A condition on text, ignoring case; of a multi-valued attribute, one value has to match.

    In the file a plain text means ``equals`` and a list ``one_of``. Regular expressions are anchored at both ends.
    """

    equals: str | None = None
    one_of: tuple[str, ...] | None = None
    not_one_of: tuple[str, ...] | None = None
    matches: Expression | None = None
    not_matches: Expression | None = None

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
            except (re.error, OverflowError, RecursionError) as error:
                raise ValueError(f"not a regular expression: {error}") from error
        return value

    def rejection(self, text: str) -> str | None:
        """Return why the text is rejected, or None if it matches; backslashes separate values.

        The text is quoted only if it is a word of the rule or of DICOM: in a damaged header it may be a name.

        Parameters
        ----------
        text : str
            Value of the attribute; empty where it is missing.
        """
        values = [value.strip().casefold() for value in text.split("\\") if value.strip()]
        if not values:
            return None if self.allow_missing else "is missing"
        if self.equals is not None and self.equals.casefold() not in values:
            return f"{self._quoted(text)}is not {self.equals!r}"
        if self.one_of is not None and not set(values) & {choice.casefold() for choice in self.one_of}:
            return f"{self._quoted(text)}is not one of {', '.join(self.one_of)}"
        if self.not_one_of is not None and set(values) & {choice.casefold() for choice in self.not_one_of}:
            return f"{self._quoted(text)}is one of {', '.join(self.not_one_of)}"
        if self.matches is not None and not _any_match(self.matches, values):
            return f"{self._quoted(text)}does not match the expression"
        if self.not_matches is not None and _any_match(self.not_matches, values):
            return f"{self._quoted(text)}matches the excluded expression"
        return None

    def _quoted(self, text: str) -> str:
        """Return the text in quotes, or nothing where it may be anything."""
        stated = (self.equals, *(self.one_of or ()), *(self.not_one_of or ()), self.matches, self.not_matches)
        words = {word.upper() for value in stated if value for word in re.findall(r"\w+", value)}
        return f"{text!r} " if text.upper() in words | _DICOM_WORDS else ""


class NumberCondition(_Condition):
    """A condition on a number; ranges include both ends. In the file a plain number means ``equals``."""

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

    def rejection(self, number: float | None) -> str | None:
        """Return why the number is rejected, or None if it matches.

        Parameters
        ----------
        number : float or None
            Value of the attribute; None where it is missing.

        Examples
        --------
        >>> NumberCondition(min=0.5, max=3).rejection(5)
        '5 is above 3'
        """
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
    """A condition on the complete values of *Image Type*; in the file a list means ``all_of``."""

    all_of: tuple[str, ...] | None = None
    none_of: tuple[str, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        return {"all_of": value} if isinstance(value, list) else value

    def rejection(self, values: tuple[str, ...]) -> str | None:
        """Return why the values are rejected, or None if they match.

        Parameters
        ----------
        values : tuple of str
            Values of the attribute; empty where it is missing. Case does not matter.
        """
        present = {value.casefold() for value in values}
        lacking = [value for value in self.all_of or () if value.casefold() not in present]
        if lacking and not (self.allow_missing and not values):
            return f"lacks {', '.join(lacking)}" if values else "is missing"
        unwanted = [value for value in self.none_of or () if value.casefold() in present]
        return f"contains {', '.join(unwanted)}" if unwanted else None


class Requirements(_Strict):
    """The requirements on a series; every stated condition has to match."""

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
        Requirements on a series.
    rank : tuple of Criterion
        Criteria that order the suitable series, the most important first.
    bone_kernel : TextCondition
        Convolution kernels that the criterion ``bone_kernel`` prefers; `BONE_KERNELS` if omitted.
    """

    require: Requirements = Requirements()
    rank: tuple[Criterion, ...] = ("regular", "thinner", "bone_kernel", "covers_more", "more_recent")
    bone_kernel: TextCondition = Field(default=TextCondition(matches=BONE_KERNELS))

    @field_validator("rank")
    @classmethod
    def _once_each(cls, value: tuple[Criterion, ...]) -> tuple[Criterion, ...]:
        if len(set(value)) != len(value):
            raise ValueError("a criterion occurs more than once")
        return value


def load_rules(path: Path | None = None, levels: Iterable[Vertebra] = CERVICAL_LEVELS) -> Rules:
    """Return the rules of a file, or those that cspine ships.

    Parameters
    ----------
    path : Path, optional
        YAML as docs/guide/selection.md describes it.
    levels : iterable of Vertebra
        Levels of the model, or of labels: without a file, they decide between the rules of cervical and of full-spine
        models.

    Returns
    -------
    Rules

    Raises
    ------
    RulesError
        If the file cannot be read or is invalid; the message names the fields.
    """
    try:
        name = "full_spine_rules.yaml" if is_full_spine(levels) else "default_rules.yaml"
        shipped = resources.files("cspine.dicom").joinpath(name)
        content = parse_yaml(shipped.read_bytes()) if path is None else read_yaml(path)
    except OSError as error:
        raise RulesError(f"the rules file cannot be read ({type(error).__name__})") from error
    except DocumentError as error:
        raise RulesError(f"the rules file {error}") from error
    try:
        return Rules.model_validate(content if content is not None else {})
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc'])) or 'file'}: {fault['msg']}" for fault in error.errors())
        raise RulesError(f"the rules file is invalid: {faults}") from error


def _any_match(expression: str, values: list[str]) -> bool:
    return any(re.fullmatch(expression, value, re.IGNORECASE) for value in values)
