"""The cases of an audit: which files of a folder are CT images, and the organs that were drawn in them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cspine.core.errors import InputError, UsageError
from cspine.core.geometry import resample_labels
from cspine.core.volumes import CtVolume
from cspine.io import nifti
from cspine.study.audits.anatomy_checks import CORD, ORGAN_POSITIONS

ORGANS = (CORD, *ORGAN_POSITIONS)
_IMAGE = re.compile(r"^(?P<name>.+?)(?:_0000|_ct)\.nii\.gz$")
_ORGAN_SUFFIX = "_oar.nii.gz"


@dataclass(frozen=True)
class AuditCase:
    """One case: its name, its image and, where there are, its organs."""

    name: str
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
    advice = "Give a folder with X_0000.nii.gz, X_ct.nii.gz or X.nii.gz."
    paths = nifti.files_in(folder)
    named = [(match["name"], path) for path in paths if (match := _IMAGE.match(path.name))]
    if not named:
        named = [(nifti.case_name(p), p) for p in paths if not p.name.endswith(_ORGAN_SUFFIX)]
    if not named:
        raise InputError(f"no CT image *.nii.gz in {folder}", advice=advice)
    names = [name for name, _ in named]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"two images of one case: {', '.join(twice)}", advice=advice)
    if organs is None:
        return [AuditCase(name, path) for name, path in sorted(named)]
    cases = [
        AuditCase(name, path, place if (place := organs / f"{name}{_ORGAN_SUFFIX}").is_file() else None)
        for name, path in sorted(named)
    ]
    if not any(case.organs for case in cases):
        raise InputError(
            f"no case has organs in {organs}", advice=f"Name them as the cases: {names[0]}{_ORGAN_SUFFIX}."
        )
    return cases


def parse_organ_labels(text: str) -> dict[str, int]:
    """Read ``cord=2,larynx=6``.

    Raises
    ------
    UsageError
        If an organ is not known or a label is no whole number from 1 to 255.
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
    drawn = nifti.read_labels(case.organs)
    on_grid = resample_labels(drawn.labels_zyx, drawn.grid, ct.grid)
    return {name: on_grid == label for name, label in labels.items()}
