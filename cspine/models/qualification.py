"""What a model package was qualified for: engines and precisions whose labels are those of torch in float32.

`cspine models qualify` measures it.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from cspine.models.package import ModelPackage
from cspine.models.records import PackageRecord

#: Reduced precision is used without being asked for from these Dice coefficients on: over all levels, and of each.
MIN_MEAN_DICE, MIN_LEVEL_DICE = 0.999, 0.99


class Qualified(BaseModel):
    """The agreement of an engine and a precision with torch in float32.

    Parameters
    ----------
    engine, precision : str
        As for ``--engine`` and ``--precision``.
    dice : dict of str to float
        Mean Dice coefficient of each level over the cases that show it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    engine: str
    precision: str
    dice: dict[str, float] = Field(max_length=100)

    @property
    def mean_dice(self) -> float:
        """Mean over the levels; 0 without any."""
        return sum(self.dice.values()) / len(self.dice) if self.dice else 0.0

    @property
    def is_sufficient(self) -> bool:
        """Whether the labels agree so well that the precision may be used without being asked for."""
        return self.mean_dice >= MIN_MEAN_DICE and min(self.dice.values(), default=0.0) >= MIN_LEVEL_DICE


class Qualification(PackageRecord):
    """What `cspine models qualify` measured for a package.

    Parameters
    ----------
    checksum : str
        Checksum of the package.
    cases : int
        Number of images.
    results : tuple of Qualified
        One for each engine and precision.
    """

    kind: ClassVar[str] = "qualification"

    cases: int
    results: tuple[Qualified, ...] = Field(max_length=100)

    @property
    def sufficient(self) -> frozenset[tuple[str, str]]:
        """Engines and precisions that may be used without being asked for."""
        return frozenset((one.engine, one.precision) for one in self.results if one.is_sufficient)


def qualified_for(package: ModelPackage) -> frozenset[tuple[str, str]]:
    """Return the engines and precisions that `auto` may use for a package.

    Parameters
    ----------
    package : ModelPackage
        The package; without a record for its version nothing is qualified.
    """
    record = Qualification.read(package)
    return record.sufficient if record is not None else frozenset()
