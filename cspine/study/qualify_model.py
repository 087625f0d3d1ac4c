"""Qualify a model for engines and precisions: their labels beside those of torch in float32 on the same images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from cspine.core.anatomy import vertebra
from cspine.core.errors import InputError
from cspine.core.progress import ProgressCallback
from cspine.core.volumes import CtVolume, LabelArray, labels_present
from cspine.dicom.rules import load_rules
from cspine.inference.settings import EngineName, InferenceSettings, Precision
from cspine.models.package import ModelPackage
from cspine.models.qualification import Qualification, Qualified
from cspine.pipeline import segmentation
from cspine.study.prediction.prediction_cases import cases_of_input

#: What is compared with torch in float32.
CHOICES: tuple[tuple[EngineName, Precision], ...] = (
    ("openvino", "float32"),
    ("openvino", "bfloat16"),
    ("torch", "bfloat16"),
)


def qualify(
    package: ModelPackage,
    images: Iterable[CtVolume],
    choices: Iterable[tuple[EngineName, Precision]] = CHOICES,
    progress: ProgressCallback | None = None,
) -> Qualification:
    """Return how well the labels of engines and precisions on the CPU agree with those of torch in float32.

    Parameters
    ----------
    package : ModelPackage
        The model.
    images : iterable of CtVolume
        Images that show what the model is for; labels are compared before they are cleaned at the end.
    choices : iterable of (str, str)
        Engines and precisions.
    progress : callable, optional
        Gets the images done; their number is not known.

    Raises
    ------
    InputError
        If the model predicts no vertebra in any image.
    """
    compared = list(choices)
    scores: dict[tuple[str, str], dict[str, list[float]]] = {choice: defaultdict(list) for choice in compared}
    count = 0
    for count, image in enumerate(images, 1):
        expected = _labels(image, package, "torch", "float32")
        for choice in compared:
            for level, dice in dice_by_level(_labels(image, package, *choice), expected).items():
                scores[choice][level].append(dice)
        if progress is not None:
            progress(count, count)
    if not any(scores.values()):
        raise InputError("the model predicts no vertebra in these images", advice="Give images of what it is for.")
    results = tuple(
        Qualified(
            engine=engine,
            precision=precision,
            dice={level: float(np.mean(values)) for level, values in scores[engine, precision].items()},
        )
        for engine, precision in compared
    )
    return Qualification(checksum=package.identity.checksum, cases=count, results=results)


def qualify_images(package: ModelPackage, source: Path, progress: ProgressCallback | None = None) -> Qualification:
    """Return the qualification of a model on images in files, as `cspine models qualify` measures it.

    ``Qualification.write(package)`` stores it where runs find it.

    Parameters
    ----------
    package : ModelPackage
        The model.
    source : Path
        NIfTI or DICOM images, as for `cspine predict`.
    progress : callable, optional
        Called with the number of finished images and of all images.

    Raises
    ------
    InputError
        If there is no image, or the model predicts no vertebra in any.
    CSpineError
        As in `PredictionCase.read`.
    """
    rules, cases = load_rules(levels=package.levels), cases_of_input(source)
    on_image = None if progress is None else lambda done, _: progress(done, len(cases))
    return qualify(package, (case.read(rules) for case in cases), progress=on_image)


def dice_by_level(one_zyx: LabelArray, other_zyx: LabelArray) -> dict[str, float]:
    """Return the Dice coefficient of each level that either array has.

    Parameters
    ----------
    one_zyx, other_zyx : ndarray
        Labels with the numbers of VerSe, of one shape.

    Examples
    --------
    >>> dice_by_level(np.array([1, 1, 2]), np.array([1, 2, 2]))
    {'C1': 0.6666666666666666, 'C2': 0.6666666666666666}
    """
    found = {}
    for label in sorted({*labels_present(one_zyx), *labels_present(other_zyx)}):
        one, other = one_zyx == label, other_zyx == label
        found[vertebra(label).name] = float(2 * np.count_nonzero(one & other) / (one.sum() + other.sum()))
    return found


def _labels(image: CtVolume, package: ModelPackage, engine: EngineName, precision: Precision) -> LabelArray:
    settings = InferenceSettings("cpu", engine=engine, precision=precision)
    return segmentation.predict(image, package, settings).labels.labels_zyx
