"""Whether a NIfTI file has one position in the patient: nibabel and ITK must see its voxels at the same points.

nibabel follows the sform; ITK takes whichever of sform and qform it prefers, and drops a shear. Tools of either kind
would read labels at different positions.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError, SpatialImage
from nibabel.wrapstruct import WrapStructError

from cspine.core.errors import AmbiguousPositionError, ExcessiveTiltError, InputError
from cspine.core.geometry import Affine, Grid, is_orthogonal, ras_to_lps

#: What nibabel raises for files that are no NIfTI or are damaged.
UNREADABLE = (ImageFileError, HeaderDataError, WrapStructError, OSError, EOFError, ValueError, zlib.error)
#: Units of (xyzt_units & 7) in a header, and their millimetres; ITK takes another number, and none, for millimetres.
_UNITS = {1: ("metre", 1e3), 2: ("millimetre", 1.0), 3: ("micrometre", 1e-3)}
#: Corners that two readers see may differ by this share of the smallest step.
_SLACK = 0.1


def stated_affine(image: SpatialImage, name: str) -> Affine:
    """Return the affine (LPS, millimetres) of the sform, or of the qform where there is no sform.

    Parameters
    ----------
    image : nibabel.spatialimages.SpatialImage
        The image.
    name : str
        What messages call it.

    Returns
    -------
    ndarray, shape (4, 4)
        Affine from index (x, y, z) to millimetres in LPS, in the unit that the header states.

    Raises
    ------
    AmbiguousPositionError
        If there is none, or it cannot be inverted.
    """
    if image.affine is None:
        raise AmbiguousPositionError(f"{name} has no affine")
    affine = ras_to_lps(image.affine)
    affine[:3] *= _unit(image)[1]
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or not steps.all() or abs(np.linalg.det(affine[:3, :3] / steps)) < 1e-6:
        raise AmbiguousPositionError(f"{name} has an affine that cannot be inverted")
    return affine


def stated_unit(image: SpatialImage) -> str:
    """Return the unit in which the header of an image states positions; the millimetre if it states none.

    Parameters
    ----------
    image : nibabel.spatialimages.SpatialImage
        The image.
    """
    return _unit(image)[0]


def _unit(image: SpatialImage) -> tuple[str, float]:
    code = int(image.header["xyzt_units"]) & 7 if isinstance(image, nibabel.Nifti1Pair) else 2
    return _UNITS.get(code, _UNITS[2])


def refuse_sheared(path: Path) -> None:
    """Refuse a NIfTI file whose sform is sheared, which ITK cannot represent.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    InputError
        If the header cannot be read.
    AmbiguousPositionError
        If its qform says that the image is not sheared, or its affine cannot be used.
    ExcessiveTiltError
        If the image is sheared.
    """
    try:
        image = nibabel.load(path)
    except UNREADABLE as error:
        raise InputError(f"cannot read {path.name}", advice="Pass a complete NIfTI file (.nii.gz).") from error
    if not isinstance(image, SpatialImage) or is_orthogonal(stated_affine(image, path.name)):
        return
    refuse_other_qform(image, path.name)
    raise ExcessiveTiltError(
        f"the affine of {path.name} is sheared",
        advice="Resample the image to an orthogonal grid; `cspine run` does so for a CT.",
    )


def refuse_other_qform(image: SpatialImage, name: str) -> None:
    """Refuse a sheared sform beside a qform, which cannot be sheared.

    Parameters
    ----------
    image : nibabel.spatialimages.SpatialImage
        An image whose sform is sheared.
    name : str
        What messages call it.

    Raises
    ------
    AmbiguousPositionError
        If the header has a qform.
    """
    if isinstance(image, nibabel.Nifti1Image) and int(image.header["qform_code"]):
        raise AmbiguousPositionError(f"the sform of {name} is sheared, and its qform says that the image is not")


def require_one_position(path: Path, seen: Grid) -> None:
    """Refuse a NIfTI file that nibabel places elsewhere than ITK.

    Parameters
    ----------
    path : Path
        The file.
    seen : Grid
        Its grid as ITK reads it.

    Raises
    ------
    AmbiguousPositionError
        If the corners differ.
    """
    image = nibabel.load(path)
    assert isinstance(image, SpatialImage)
    said = Grid(seen.shape_zyx, stated_affine(image, path.name))
    if not seen.is_close(said, _SLACK * min(said.spacing_xyz)):
        apart = float(np.linalg.norm(seen.corners_lps() - said.corners_lps(), axis=1).max())
        raise AmbiguousPositionError(
            f"sform and qform of {path.name} position the image differently: corners lie up to {apart:.1f} mm apart"
        )
