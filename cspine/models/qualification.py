"""What a model package was qualified for: engines and precisions whose labels are those of torch in float32.

`cspine models qualify` measures it. The record lies beside the folder of the package, or among the user's files if that
place is read-only; the package itself, with its checksums, is not changed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cspine.core.errors import OutputError
from cspine.io.documents import DocumentError, read_json
from cspine.io.files import write_atomic
from cspine.io.machine import home_folder
from cspine.models.package import ModelPackage
from cspine.models.registry import user_folder

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


class Qualification(BaseModel):
    """What `cspine models qualify` measured for a package.

    Parameters
    ----------
    checksum : str
        Checksum of the package: a record of another version of it counts nothing.
    cases : int
        Number of images.
    results : tuple of Qualified
        One for each engine and precision.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    checksum: str
    cases: int
    results: tuple[Qualified, ...] = Field(max_length=100)

    @property
    def sufficient(self) -> frozenset[tuple[str, str]]:
        """Engines and precisions that may be used without being asked for."""
        return frozenset((one.engine, one.precision) for one in self.results if one.is_sufficient)


def read_qualification(
    package: ModelPackage, environment: Mapping[str, str] = os.environ, home: Path | None = None
) -> Qualification | None:
    """Return the record of a package, or None if there is none for this version of it.

    Parameters
    ----------
    package : ModelPackage
        The package.
    environment, home
        As for `registry.user_folder`.
    """
    for path in _places(package, environment, home):
        try:
            record = Qualification.model_validate(read_json(path))
        except (OSError, DocumentError, ValidationError):
            continue
        if record.checksum == package.identity.checksum:
            return record
    return None


def qualified_for(package: ModelPackage) -> frozenset[tuple[str, str]]:
    """Return the engines and precisions that `auto` may use for a package."""
    record = read_qualification(package)
    return record.sufficient if record is not None else frozenset()


def write_qualification(
    package: ModelPackage,
    record: Qualification,
    environment: Mapping[str, str] = os.environ,
    home: Path | None = None,
) -> Path:
    """Write the record of a package, and return where; OutputError if neither place can be written."""
    text = json.dumps(record.model_dump(mode="json"), indent=1) + "\n"
    reason = ""
    for path in _places(package, environment, home):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, lambda partial: partial.write_text(text, encoding="utf-8"))
        except (OSError, OutputError) as error:
            reason = str(error)
            continue
        return path
    raise OutputError(f"the qualification of {package.identity.name} cannot be written: {reason}")


def _places(package: ModelPackage, environment: Mapping[str, str], home: Path | None) -> tuple[Path, Path]:
    """Return where the record may lie: beside the package, else with the user's models."""
    name = f"{package.manifest.name}.qualification.json"
    return package.folder.parent / name, user_folder(environment, home or home_folder()) / name
