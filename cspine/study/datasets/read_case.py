"""Image and reference labels of one case, read as they are and brought onto one grid without resampling."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydicom import dcmread

from cspine.core.anatomy import SACRUM, VERTEBRAE, parse_name
from cspine.core.errors import CaseGridError, CSpineError, DatasetError, LabelSchemeError
from cspine.core.hounsfield import doubt_hounsfield
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.dicom.read import read_volume
from cspine.dicom.scan import scan_folder
from cspine.io import nifti
from cspine.io.masks import PREFIX, combine_masks, mask_name
from cspine.io.nifti_files import files_in, nifti_stem
from cspine.study.datasets.label_audit import Doubt
from cspine.study.datasets.sources.found import FoundCase
from cspine.study.grids import on_grid

_COCCYX = 27
_LEVELS = {level.label for level in VERTEBRAE}
#: Numbers that a scheme may hold.
ALLOWED = {"verse": _LEVELS | {SACRUM, _COCCYX}, "ctspine1k": _LEVELS - {28}, "masks": _LEVELS | {SACRUM}}
#: Masks of TotalSegmentator; every case has all of them, empty where the vertebra is out of view.
_MASKS = {mask_name(level.name) for level in VERTEBRAE if level.name not in ("T13", "L6")}
_MIN_SLICES = 10
#: Vertebrae share more than this only by mistake.
_SHARED_MM3 = 100.0


@dataclass(frozen=True)
class CaseVolumes:
    """Image and labels of a case in memory.

    Parameters
    ----------
    ct : CtVolume
        The image, as it is stored.
    labels : LabelVolume
        Labels of `cspine.core.anatomy`, and 26 for the sacrum, on its grid.
    doubts : tuple of Doubt
        What was seen while reading.
    age_years : float or None
        From a DICOM header.
    sex : str
        From a DICOM header.
    """

    ct: CtVolume
    labels: LabelVolume
    doubts: tuple[Doubt, ...]
    age_years: float | None = None
    sex: str = ""


def read_case(case: FoundCase) -> CaseVolumes:
    """Read a case.

    Raises
    ------
    InputError
        If a file cannot be read, or is no image.
    CaseGridError
        If the labels do not lie on the voxels of the image.
    LabelSchemeError
        If the labels hold numbers that the scheme does not know.
    DatasetError
        If no voxel has a label, but in TotalSegmentator, which has the masks of every vertebra for every case.
    GeometryError, PixelError
        If DICOM files make no volume.
    """
    doubts: list[Doubt] = []
    if case.scheme == "masks":
        labels = _from_masks(case, doubts)
    else:
        labels = nifti.read_labels(case.labels)
        _refuse_unknown(labels, case.scheme)
    if case.image.is_dir():
        read = _from_dicom(case, labels)
    else:
        ct = nifti.read_ct(case.image)
        read = CaseVolumes(ct, on_grid(labels, ct.grid), ())
    cleaned = np.where(read.labels.labels_zyx == _COCCYX, np.uint8(0), read.labels.labels_zyx)
    if not cleaned.any() and case.scheme != "masks":
        raise DatasetError("the labels are empty", advice="Exclude the case, or fetch its labels again.")
    if (units := doubt_hounsfield(read.ct.hu_zyx)) is not None:
        doubts.append(Doubt("", "intensity", f"The values may not be Hounsfield units: {units.reason}."))
    return replace(read, labels=LabelVolume(cleaned, read.labels.affine_lps), doubts=(*read.doubts, *doubts))


def _refuse_unknown(labels: LabelVolume, scheme: str) -> None:
    present = {int(v) for v in np.unique(labels.labels_zyx)} - {0}
    unknown = sorted(present - ALLOWED[scheme])
    if unknown:
        listed = ", ".join(str(v) for v in unknown[:8])
        raise LabelSchemeError(f"labels {listed} are not of the scheme {scheme}")


def _from_masks(case: FoundCase, doubts: list[Doubt]) -> LabelVolume:
    """Return the labels from one binary file per vertebra (``vertebrae_C1.nii.gz`` ...); S1 and sacrum become 26."""
    files = files_in(case.labels)
    absent = sorted(_MASKS - {path.name for path in files})
    if absent:
        listed = ", ".join(absent[:3]) + (" ..." if len(absent) > 3 else "")
        raise DatasetError(f"{len(absent)} masks are absent: {listed}", advice="Fetch the case again, or exclude it.")
    numbers = ((path, _number_of(nifti_stem(path))) for path in files)
    combined = combine_masks((path, number) for path, number in numbers if number is not None)
    assert combined is not None
    if combined.shared_mm3 > _SHARED_MM3:
        doubts.append(
            Doubt("", "overlap", f"{combined.shared_mm3:.0f} mm3 belong to two vertebrae; the later one has them.")
        )
    return combined.labels


def _number_of(name: str) -> int | None:
    """Return the number of what a mask of this name shows; None for other organs."""
    level = parse_name(name) if name.startswith(PREFIX) else None
    if level is not None:
        return level.label
    return SACRUM if name in ("sacrum", f"{PREFIX}S1") else None


def _from_dicom(case: FoundCase, labels: LabelVolume) -> CaseVolumes:
    """Return the CT series of a patient on whose slices the labels lie."""
    scan = scan_folder(case.image)
    candidates = [s for s in scan.series if s.modality == "CT" and s.slices >= _MIN_SLICES]
    reasons = []
    fitting: list[tuple[float, CaseVolumes]] = []
    for series in candidates:
        try:
            ct = read_volume(series)
            placed = on_grid(labels, ct.grid)
        except CSpineError as error:
            reasons.append(error.code)
            continue
        labelled = placed.labels_zyx > 0
        density = float(ct.hu_zyx[labelled].mean()) if labelled.any() else -np.inf
        sex = _sex_of(series.instances[0].path)
        fitting.append((density, CaseVolumes(ct, placed, (), series.patient_age_years, sex)))
        fitting = sorted(fitting, key=lambda fit: -fit[0])[:2]  # no more than two volumes in memory
    if not fitting:
        seen = f" ({', '.join(reasons)})" if reasons else ""
        raise CaseGridError(f"none of {len(candidates)} CT series has the slices of the labels{seen}")
    best, *others = fitting
    if not others:
        return best[1]
    fits = len(candidates) - len(reasons)
    sentence = (
        f"{fits} CT series have the slices of the labels; taken is the one in which they have {best[0]:.0f} HU, "
        f"the next has {others[0][0]:.0f} HU."
    )
    return replace(best[1], doubts=(Doubt("", "series", sentence),))


def _sex_of(path: Path) -> str:
    sex = str(dcmread(path, stop_before_pixels=True, specific_tags=["PatientSex"]).get("PatientSex") or "").upper()
    return sex if sex in ("M", "F") else ""
