"""The two label images of a case on one grid."""

from __future__ import annotations

from pathlib import Path

from cspine.core.volumes import LabelVolume
from cspine.io import nifti
from cspine.pipeline.label_schemes import SEG, labels_bodies
from cspine.pipeline.scheme_files import read_labels
from cspine.study.evaluation.pairing import EvaluationCase
from cspine.study.grids import common_grid, on_grid


def read_pair(case: EvaluationCase, found_file: Path) -> tuple[LabelVolume, LabelVolume]:
    """Read the reference and the prediction of a case on one grid: that of the reference.

    A DICOM Segmentation lacks planes without a label: where the reference is one, the grid is that of the image, where
    the case has one; else that of a NIfTI prediction; else the smallest one that holds both. Where a system labels
    bodies alone, those of the reference are compared with them.

    Parameters
    ----------
    case : EvaluationCase
        The case.
    found_file : Path
        Its prediction.

    Raises
    ------
    InputError, LabelSchemeError, CaseGridError
        If a file cannot be read, or they do not lie on the same voxels.
    """
    reference = read_labels(case.reference, case.reference_scheme)
    found = read_labels(found_file, case.prediction_scheme)
    partial = case.prediction_scheme == SEG
    if case.reference_scheme == SEG:
        if case.image is not None:
            grid = nifti.read_ct(case.image).grid
        else:
            grid = common_grid(reference, found) if partial else found.grid
        reference = on_grid(reference, grid, partial=True)
    found = on_grid(found, reference.grid, partial=partial)
    if labels_bodies(case.prediction_scheme):
        from cspine.study.evaluation.bodies import bodies_only

        return bodies_only(reference, found)
    return reference, found
