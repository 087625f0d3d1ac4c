"""A case whose labels are one binary file per vertebra, ``vertebrae_C1.nii.gz``, as TotalSegmentator writes them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cspine.core.anatomy import SACRUM
from cspine.core.errors import CaseGridError
from cspine.core.geometry import SLACK
from cspine.core.volumes import LabelVolume
from cspine.io import nifti
from cspine.io.nifti_files import ENDING

#: How the names of the files begin.
PREFIX = "vertebrae_"


def mask_name(level: str) -> str:
    """Return the name of the file of a level: ``vertebrae_C1.nii.gz``."""
    return f"{PREFIX}{level}{ENDING}"


@dataclass(frozen=True)
class CombinedMasks:
    """Masks as one array.

    Parameters
    ----------
    labels : LabelVolume
        The numbers given to the masks.
    shared_mm3 : float
        Volume that two vertebrae claim.
    """

    labels: LabelVolume
    shared_mm3: float


def combine_masks(masks: Iterable[tuple[Path, int]]) -> CombinedMasks | None:
    """Combine masks of one case; None where there are none.

    A voxel of two masks belongs to the later one; the sacrum takes only what no mask before it has.

    Parameters
    ----------
    masks : iterable of (Path, int)
        Files with the number that their voxels get.

    Raises
    ------
    InputError
        If a file is no label image.
    CaseGridError
        If the masks lie on different grids.
    """
    combined: LabelVolume | None = None
    shared = 0
    for path, number in masks:
        mask = nifti.read_labels(path)
        if combined is None:
            combined = LabelVolume(np.zeros(mask.labels_zyx.shape, dtype=np.uint8), mask.affine_lps)
        if not combined.grid.is_close(mask.grid, SLACK * min(mask.grid.spacing_xyz)):
            raise CaseGridError(f"{path.name} lies on another grid than the masks before it")
        inside, labelled = mask.labels_zyx > 0, combined.labels_zyx != 0
        if number != SACRUM:
            shared += int(np.count_nonzero(inside & labelled & (combined.labels_zyx != SACRUM)))
        combined.labels_zyx[inside & ~labelled if number == SACRUM else inside] = number
    return None if combined is None else CombinedMasks(combined, shared * combined.grid.voxel_mm3)
