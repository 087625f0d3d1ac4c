"""Calibrate the confidence of a model on cases whose truth is known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from cspine.core.anatomy import VERTEBRAE
from cspine.core.errors import InputError
from cspine.core.progress import ProgressCallback
from cspine.core.shape import vertebrae_only
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.dicom.rules import Rules, load_rules
from cspine.inference.settings import InferenceSettings
from cspine.models.calibration import Bin, Calibrated, Calibration, Curve
from cspine.models.package import ModelPackage
from cspine.pipeline.confidence import FAST_FEATURES, FULL_FEATURES, Features, disagreement_of, features_of
from cspine.pipeline.scheme_files import read_labels, scheme_of_folder
from cspine.pipeline.segmentation import find_vertebrae
from cspine.study.cases import labels_name
from cspine.study.datasets.case_table import CASE_TABLE
from cspine.study.evaluation.judgement import read_expectations
from cspine.study.evaluation.metrics import match_levels
from cspine.study.grids import on_grid
from cspine.study.prediction.prediction_cases import PredictionCase, cases_of_input
from cspine.study.qualify_model import dice_by_level

#: Subjects are divided into so many folds to test the curves.
FOLDS = 5
#: Bins of equal width of the calibration error.
BINS = 10
#: Penalty on squared weights of standardised features: wrong levels are rare.
_PENALTY = 1.0
#: A feature that varies less is the same everywhere.
_SAME = 1e-9
#: Fewer vertebrae than this fit nothing.
MIN_VERTEBRAE = 40

Array = NDArray[np.float64]


@dataclass(frozen=True)
class LabelledVertebra:
    """A vertebra of a result whose truth is known.

    Parameters
    ----------
    subject : str
        Whose image it is in.
    features : dict of str to float
        From `pipeline.confidence.features_of`.
    right : bool
        Whether it has the level of the reference that covers most of it.
    dice : float
        Dice coefficient with that level of the reference which it names.
    group : str
        Folder of images that it belongs to.
    """

    subject: str
    features: Features
    right: bool
    dice: float
    group: str = ""


@dataclass(frozen=True)
class LabelledImage:
    """An image whose truth is known.

    Parameters
    ----------
    ct, reference : CtVolume, LabelVolume
        The image and its true labels, on one grid.
    subject : str
        Whose it is: a curve is tested on other subjects than those it was fitted to.
    group : str
        Folder of images that it belongs to.
    """

    ct: CtVolume
    reference: LabelVolume
    subject: str
    group: str = ""


@dataclass(frozen=True)
class LabelledCase:
    """The files of an image whose truth is known.

    Parameters
    ----------
    image : PredictionCase
        The image.
    labels : Path
        Its labels.
    scheme : str
        What they mean, one of `label_schemes.SCHEME_NAMES`.
    subject : str
        Whose image it is.
    group : str
        Folder of images that it belongs to.
    """

    image: PredictionCase
    labels: Path
    scheme: str
    subject: str
    group: str

    def read(self, rules: Rules) -> LabelledImage:
        """Read the image, of a DICOM study the series that the rules choose, and the labels on its grid.

        Parameters
        ----------
        rules : Rules
            Selection rules for the series of a DICOM study.

        Raises
        ------
        CSpineError
            As `PredictionCase.read`, `label_schemes.read_labels` and `on_grid`.
        """
        ct = self.image.read(rules)
        return LabelledImage(ct, on_grid(read_labels(self.labels, self.scheme), ct.grid), self.subject, self.group)


def calibrate(
    package: ModelPackage,
    images: Iterable[LabelledImage],
    settings: InferenceSettings | None = None,
    *,
    full: bool = False,
    progress: ProgressCallback | None = None,
) -> Calibration:
    """Return the calibration of a model.

    Parameters
    ----------
    package : ModelPackage
        The model.
    images : iterable of LabelledImage
        The model must not be trained on them.
    settings : InferenceSettings, optional
        Device, engine.
    full : bool
        Also calibrate the confidence of three more runs on altered images, at four times the duration.
    progress : callable, optional
        Gets the images done; their number is not known.

    Raises
    ------
    InputError
        If the model predicts fewer than `MIN_VERTEBRAE` vertebrae.
    """
    settings = settings or InferenceSettings()
    found: list[LabelledVertebra] = []
    count = 0
    for count, image in enumerate(images, 1):
        found += labelled_vertebrae(image, package, settings, full=full)
        if progress is not None:
            progress(count, count)
    if len(found) < MIN_VERTEBRAE:
        raise InputError(
            f"the model predicts {len(found)} vertebrae in these images, and {MIN_VERTEBRAE} are needed",
            advice="Give more images.",
        )
    return Calibration(
        checksum=package.identity.checksum,
        cases=count,
        fast=fitted(found, FAST_FEATURES),
        full=fitted(found, FULL_FEATURES) if full else None,
    )


def calibrate_folders(
    package: ModelPackage,
    folders: Iterable[tuple[Path, Path]],
    *,
    full: bool = False,
    progress: ProgressCallback | None = None,
) -> Calibration:
    """Return the calibration of a model on folders of images and labels, as `cspine models calibrate` measures it.

    ``Calibration.write(package)`` stores it where runs find it.

    Parameters
    ----------
    package : ModelPackage
        The model.
    folders : iterable of (Path, Path)
        Folders of CTs that the model was not trained on, each with the folder of their labels.
    full : bool
        As in `calibrate`.
    progress : callable, optional
        Called with the number of finished images and of all images.

    Raises
    ------
    InputError
        If an image has no labels or cannot be read, or the model predicts too few vertebrae.
    CSpineError
        As in `LabelledCase.read`.
    """
    cases = [case for images, labels in folders for case in labelled_cases(images, labels)]
    rules = load_rules(levels=package.levels)
    on_image = None if progress is None else lambda done, _: progress(done, len(cases))
    return calibrate(package, (case.read(rules) for case in cases), full=full, progress=on_image)


def labelled_cases(images: Path, labels: Path) -> list[LabelledCase]:
    """Return the CTs of a folder with the files of their labels.

    A dataset.json of nnU-Net beside the labels says what their numbers mean, as for `cspine evaluate`; otherwise they
    are those of VerSe. A cases.csv of an evaluation set or of a dataset says which images are of one subject.

    Parameters
    ----------
    images : Path
        Folder of CTs.
    labels : Path
        Folder of ``NAME.nii.gz``.

    Raises
    ------
    InputError
        If an image has no labels, or there is no image.
    LabelSchemeError
        If dataset.json has other names than vertebrae.
    """
    cases = cases_of_input(images)
    absent = [case.name for case in cases if not (labels / labels_name(case.name)).is_file()]
    if absent:
        raise InputError(
            f"{len(absent)} of {len(cases)} images have no labels in {labels}: {', '.join(absent[:3])}",
            advice="Each image X_0000.nii.gz needs labels X.nii.gz.",
        )
    scheme, subjects = scheme_of_folder(labels, None), read_expectations(labels.parent / CASE_TABLE).subject
    folder = images.resolve()
    group = folder.parent.name if folder.name.startswith("images") else folder.name
    return [
        LabelledCase(case, labels / labels_name(case.name), scheme, subjects.get(case.name, case.name), group)
        for case in cases
    ]


def labelled_vertebrae(
    image: LabelledImage, package: ModelPackage, settings: InferenceSettings, *, full: bool
) -> list[LabelledVertebra]:
    """Return the vertebrae that a model predicts in an image, with what is true of them.

    Parameters
    ----------
    image : LabelledImage
        The image with its true labels.
    package, settings, full
        As for `calibrate`.
    """
    inference, vertebrae = find_vertebrae(image.ct, package, settings)
    labels = vertebrae.labels
    disagreement = disagreement_of(image.ct, labels, package, settings) if full else None
    features = features_of(inference, labels, vertebrae.findings, disagreement)
    right = {match.level: match.right for match in match_levels(labels, image.reference, VERTEBRAE)}
    dice = dice_by_level(labels.labels_zyx, vertebrae_only(image.reference.labels_zyx))
    return [
        LabelledVertebra(image.subject, each, right[level], dice[level], image.group)
        for level, each in features.items()
        if level in right
    ]


def fitted(vertebrae: Sequence[LabelledVertebra], names: Sequence[str]) -> Calibrated:
    """Fit the curves over named features, and test them on folds of subjects.

    Parameters
    ----------
    vertebrae : sequence of LabelledVertebra
        Of at least two subjects.
    names : sequence of str
        The features.
    """
    x = np.array([[each.features[name] for name in names] for each in vertebrae])
    subject = np.unique([each.subject for each in vertebrae], return_inverse=True)[1]
    groups = [each.group for each in vertebrae]
    return Calibrated(
        level=_curve(_Examples(x, np.array([float(each.right) for each in vertebrae]), subject, groups), names),
        dice=_curve(_Examples(x, np.array([each.dice for each in vertebrae]), subject, groups), names),
        vertebrae=len(vertebrae),
        fixed={name: float(x[0, at]) for at, name in enumerate(names) if np.ptp(x[:, at]) < _SAME},
    )


@dataclass(frozen=True, eq=False)
class _Examples:
    """Features, what is true, and whose and of which folder it is, one row each."""

    x: Array
    target: Array
    subject: NDArray[np.intp]
    groups: Sequence[str]


def _curve(examples: _Examples, names: Sequence[str]) -> Curve:
    """Fit a curve to all, and test its like on the subjects of each fold in turn."""
    x, target, subject = examples.x, examples.target, examples.subject
    predicted = np.empty(len(target))
    for fold in range(FOLDS):
        tested = subject % FOLDS == fold
        if tested.any() and not tested.all():
            intercept, weights = _fit(x[~tested], target[~tested])
            predicted[tested] = expit(intercept + x[tested] @ weights)
        elif tested.all():
            predicted[tested] = target.mean()
    intercept, weights = _fit(x, target)
    groups = np.array(examples.groups)
    return Curve(
        intercept=float(intercept),
        weights={name: float(weight) for name, weight in zip(names, weights, strict=True)},
        error=_error(predicted, target),
        bins=reliability(predicted, target),
        errors={str(group): _error(predicted[groups == group], target[groups == group]) for group in np.unique(groups)},
    )


def _error(predicted: Array, observed: Array) -> float:
    """Return the expected calibration error."""
    bins = reliability(predicted, observed)
    return sum(each.count * abs(each.predicted - each.observed) for each in bins) / len(observed)


def _fit(x: Array, target: Array) -> tuple[float, Array]:
    """Return intercept and weights of the logistic curve of least cross-entropy, with a penalty on its weights."""
    mean, spread = x.mean(axis=0), x.std(axis=0)
    spread[spread < _SAME] = 1.0
    scaled = (x - mean) / spread

    def loss(parameters: Array) -> tuple[float, Array]:
        value = parameters[0] + scaled @ parameters[1:]
        rest = expit(value) - target
        entropy = np.sum(np.logaddexp(0, value) - target * value) + 0.5 * _PENALTY * np.sum(parameters[1:] ** 2)
        return float(entropy), np.concatenate([[rest.sum()], scaled.T @ rest + _PENALTY * parameters[1:]])

    found = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B").x
    weights = found[1:] / spread
    return float(found[0] - weights @ mean), weights


def reliability(predicted: Array, observed: Array) -> tuple[Bin, ...]:
    """Return the bins of equal width of predictions in [0, 1] that hold any.

    Parameters
    ----------
    predicted, observed : ndarray, shape (n,)
        Predictions, and what was true.

    Examples
    --------
    >>> [each.count for each in reliability(np.array([0.95, 0.97, 0.2]), np.array([1.0, 1.0, 0.0]))]
    [1, 2]
    """
    number = np.minimum((predicted * BINS).astype(int), BINS - 1)
    return tuple(
        Bin(
            predicted=float(predicted[number == each].mean()),
            observed=float(observed[number == each].mean()),
            count=int(np.count_nonzero(number == each)),
        )
        for each in np.unique(number)
    )


def error_rows(way: str, curves: Calibrated) -> list[list[str]]:
    """Return the rows of a table of calibration errors: that of all images, then those of each folder.

    Parameters
    ----------
    way : str
        ``"fast"`` or ``"full"``.
    curves : Calibrated
        Its curves.
    """
    rows = [[way, "all", f"{curves.level.error:.3f}", f"{curves.dice.error:.3f}"]]
    if len(curves.level.errors) > 1:
        rows += [[way, name, f"{e:.3f}", f"{curves.dice.errors[name]:.3f}"] for name, e in curves.level.errors.items()]
    return rows
