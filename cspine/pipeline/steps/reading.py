"""Read the image: the chosen series, a NIfTI file, or an array of the caller."""

from __future__ import annotations

import logging
import weakref
from contextlib import ExitStack
from pathlib import Path

from cspine.core.volumes import CtVolume
from cspine.dicom.read import read_volume
from cspine.models.package import ModelPackage
from cspine.pipeline.measuring import prior_of_image, prior_result
from cspine.pipeline.outputs import check_outputs
from cspine.pipeline.settings import RunSettings
from cspine.pipeline.steps.selection import ChosenSeries
from cspine.pipeline.subset import check_wanted

_log = logging.getLogger(__package__)


def read_ct(chosen: ChosenSeries, settings: RunSettings) -> CtVolume:
    """Read the chosen series.

    Parameters
    ----------
    chosen : ChosenSeries
        From `choose_series` or `series_of_caller`.
    settings : RunSettings
        Whether gaps are repaired.

    Raises
    ------
    CSpineError
        As in `dicom.read.read_volume`.
    """
    return _logged(read_volume(chosen.selection.chosen, repair_gaps=settings.repair_gaps))


def keep_files(ct: CtVolume, opened: ExitStack) -> None:
    """Close an input when nothing refers to the source of a volume any more.

    What a zip archive contains is needed until the last DICOM object is written, and copies of a volume share its
    source.

    Parameters
    ----------
    ct : CtVolume
        A volume read from the input.
    opened : ExitStack
        The input as it was opened.
    """
    assert ct.source is not None
    weakref.finalize(ct.source, opened.close)


def read_image(path: Path, settings: RunSettings, package: ModelPackage) -> CtVolume:
    """Read a NIfTI file, if levels, outputs and earlier result suit it.

    Parameters
    ----------
    path : Path
        The file.
    settings : RunSettings
        Wanted levels, outputs, earlier result.
    package : ModelPackage
        The model.

    Raises
    ------
    UsageError
        If the model predicts none of the wanted levels.
    DicomSourceNeededError
        If an output needs a DICOM series.
    PriorResultError
        If the earlier result that is named cannot be compared with.
    CSpineError
        As in `io.ct_image.read_ct_image`.
    """
    from cspine.io.ct_image import read_ct_image  # loads nibabel and SimpleITK, which DICOM does not need

    check_wanted(settings.levels, package.levels)
    check_outputs(settings, has_dicom=False)
    prior_result(settings.prior, None, None)
    return _logged(read_ct_image(path))


def check_image(ct: CtVolume, settings: RunSettings, package: ModelPackage) -> CtVolume:
    """Return an image in memory if the wanted levels and the earlier result suit it.

    Parameters
    ----------
    ct : CtVolume
        The image.
    settings : RunSettings
        Wanted levels, earlier result.
    package : ModelPackage
        The model.

    Raises
    ------
    UsageError
        If the model predicts none of the wanted levels.
    PriorResultError
        If the earlier result that is named cannot be compared with.
    InputError
        If the image comes from DICOM and its first file can no longer be read.
    """
    check_wanted(settings.levels, package.levels)
    prior_of_image(settings.prior, ct)
    return _logged(ct)


def _logged(ct: CtVolume) -> CtVolume:
    spacing = " x ".join(f"{s:.3g}" for s in ct.grid.spacing_xyz)
    _log.info("volume: %d slices of %d x %d, %s mm", *ct.hu_zyx.shape, spacing)
    return ct
