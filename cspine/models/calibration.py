"""The calibration of a model package: what its probabilities are worth. `cspine models calibrate` measures it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field
from scipy.special import expit

from cspine.models.records import PackageRecord

Share = Annotated[float, Field(ge=0, le=1)]


class Bin(BaseModel):
    """A point of a reliability plot.

    Parameters
    ----------
    predicted, observed : float
        Means over the vertebrae of the bin.
    count : int
        Their number.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    predicted: Share
    observed: Share
    count: Annotated[int, Field(gt=0)]


class Curve(BaseModel):
    """A logistic curve over features, with its test on cases that it was not fitted to.

    Parameters
    ----------
    intercept : float
        Constant term.
    weights : dict of str to float
        Weight of each feature.
    error : float
        Expected calibration error, of predictions for the cases of other folds.
    bins : tuple of Bin
        The same predictions as a reliability plot.
    errors : dict of str to float
        The error over the images of each folder alone, by its name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    intercept: float
    weights: dict[str, float] = Field(max_length=20)
    error: Share
    bins: tuple[Bin, ...] = Field(max_length=20)
    errors: dict[str, Share] = Field(default={}, max_length=100)

    def at(self, features: Mapping[str, float]) -> float:
        """Return the value of the curve for features, from 0 to 1.

        Parameters
        ----------
        features : mapping of str to float
            Features of a vertebra by name, all that the curve has a weight for.

        Raises
        ------
        KeyError
            If one is missing.
        """
        return float(expit(self.intercept + sum(weight * features[name] for name, weight in self.weights.items())))


class Calibrated(BaseModel):
    """The curves of one way to measure confidence.

    Parameters
    ----------
    level : Curve
        Probability that the level is right.
    dice : Curve
        Expected Dice coefficient.
    vertebrae : int
        Number of vertebrae that they were fitted to.
    fixed : dict of str to float
        Features that were the same in all of them: of vertebrae with another value nothing is known.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    level: Curve
    dice: Curve
    vertebrae: int
    fixed: dict[str, float] = Field(default={}, max_length=20)

    def knows(self, features: Mapping[str, float]) -> bool:
        """Return whether vertebrae with such features were among those that the curves were fitted to.

        Parameters
        ----------
        features : mapping of str to float
            Features of a vertebra by name, with all that had one value in the calibration.
        """
        return all(abs(features[name] - value) < 1e-6 for name, value in self.fixed.items())


class Calibration(PackageRecord):
    """What `cspine models calibrate` measured for a package.

    Parameters
    ----------
    checksum : str
        Checksum of the package.
    cases : int
        Number of images.
    fast : Calibrated
        From one run of the network.
    full : Calibrated or None
        With three more runs on altered images; None if it was not measured.
    """

    kind: ClassVar[str] = "calibration"

    cases: int
    fast: Calibrated
    full: Calibrated | None = None
