"""The cases of an audit: which files of a folder are CT images, and the labels of their organs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cspine.core.errors import InputError, UsageError
from cspine.core.geometry import resample_labels
from cspine.core.volumes import CtVolume
from cspine.io import nifti
from cspine.io.nifti_files import ENDING, files_in, nifti_stem
from cspine.study.audits.anatomy_checks import CORD, ORGAN_POSITIONS
from cspine.study.cases import CHANNEL, Case, images_by_case, marked

ORGANS = (CORD, *ORGAN_POSITIONS)
#: What follows the name of a case in the names of images.
_MARKS = (CHANNEL, "_ct")
_ORGANS_MARK = "_oar"


@dataclass(frozen=True)
class AuditCase(Case):
    """A case with an image, and the file of its organs where there is one."""

    image: Path
    organs: Path | None = None


def find_cases(folder: Path, organs: Path | None = None) -> list[AuditCase]:
    """Return the cases of a folder by name.

    Where files are named ``X_0000.nii.gz`` or ``X_ct.nii.gz``, those are the images; else every ``X.nii.gz`` is.
    Hidden files are none.

    Parameters
    ----------
    folder : Path
        Folder of images.
    organs : Path, optional
        Folder with ``X_oar.nii.gz``; cases without one are no error.

    Raises
    ------
    InputError
        If there is no image, a case has two, or no case has organs although a folder was given.
    """
    files = files_in(folder)
    images = marked(files, _MARKS) or [path for path in files if not nifti_stem(path).endswith(_ORGANS_MARK)]
    if not images:
        raise InputError(
            f"no CT image *.nii.gz in {folder}", advice="Give a folder with X_0000.nii.gz, X_ct.nii.gz or X.nii.gz."
        )
    cases = [
        AuditCase(name, image, organs=None if organs is None else _organs_of(name, organs))
        for name, image in images_by_case(images, _MARKS).items()
    ]
    if organs is not None and not any(case.organs for case in cases):
        raise InputError(
            f"no case has organs in {organs}", advice=f"Name them as the cases: {_organs_name(cases[0].name)}."
        )
    return cases


def _organs_of(case: str, folder: Path) -> Path | None:
    path = folder / _organs_name(case)
    return path if path.is_file() else None


def _organs_name(case: str) -> str:
    return f"{case}{_ORGANS_MARK}{ENDING}"


def parse_organ_labels(text: str) -> dict[str, int]:
    """Read ``cord=2,larynx=6``.

    Raises
    ------
    UsageError
        If an organ is not known or a label is not an integer from 1 to 255.
    """
    labels = {}
    for part in text.split(","):
        name, _, label = (word.strip() for word in part.partition("="))
        if name not in ORGANS or not label.isdecimal() or not 0 < int(label) < 256:
            raise UsageError(f"organ label {part.strip()!r}: give ORGAN=NUMBER with one of {', '.join(ORGANS)}")
        labels[name] = int(label)
    return labels


def read_organs(case: AuditCase, ct: CtVolume, labels: Mapping[str, int]) -> dict[str, NDArray[np.bool_]]:
    """Read the masks of a case's organs on the image's grid; empty where it has none.

    Raises
    ------
    InputError
        If the file is not a label image.
    """
    if case.organs is None:
        return {}
    labelled = nifti.read_labels(case.organs)
    on_grid = resample_labels(labelled.labels_zyx, labelled.grid, ct.grid)
    return {name: on_grid == label for name, label in labels.items()}
