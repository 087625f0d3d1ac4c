"""Whether a series can be segmented, from its headers alone: all that would be refused later is refused here.

`select` lists what is found here as the decision on a series, and `read` asks again before it reads a pixel.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from cspine.core.errors import (
    GeometryError,
    InputError,
    NotHounsfieldError,
    PhotometricError,
    PixelError,
    RescaleError,
    UnsupportedImageError,
    hashed,
)
from cspine.dicom.headers import InstanceHeader, Plane
from cspine.dicom.image_type import is_hounsfield_type, other_quantity
from cspine.dicom.series import Series
from cspine.dicom.slices import Arrangement, arrange
from cspine.io.tables import counted

#: (0028,1054) *Rescale Type* of Hounsfield units, letters alone; US is "unspecified".
_HOUNSFIELD_WORDS = frozenset(
    {"", "HU", "HUMOD", "US", "HOUNSFIELD", "HOUNSFIELDUNIT", "HOUNSFIELDUNITS", "HNSFU", "CTNUMBER"}
)
_UNSPECIFIED = frozenset({"", "US"})
#: HU_MOD, of images from which a material was removed or changed (PS3.3 C.11.1.1.2): air and most tissue remain.
_MODIFIED = "HUMOD"
_PHOTOMETRIC = ("MONOCHROME1", "MONOCHROME2", "RGB", "PALETTE COLOR", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_BITS_ALLOCATED = (8, 16, 32)
#: Limits of (0028,1053) *Rescale Slope* and (0028,1052) *Rescale Intercept*; scanners use 1 and -1024, or near them.
_MIN_SLOPE, _MAX_SLOPE = 1e-4, 1e3
_MAX_INTERCEPT = 1e5


def require_usable(series: Series, *, repair_gaps: bool = False) -> Arrangement:
    """Return the slices of a series in order, if pixels, geometry and what a DICOM SEG refers to can be used.

    Parameters
    ----------
    series : Series
        A series of the scan.
    repair_gaps : bool
        Passed to `slices.arrange`.

    Returns
    -------
    Arrangement

    Raises
    ------
    UnsupportedImageError
        If an image is no CT image, is in several multi-frame instances, shares its UID with another one, or is in an
        encoding that cannot be read.
    PhotometricError
        If an image is not MONOCHROME2 with one sample per pixel.
    GeometryError, MissingAttributeError
        If the slices do not form a volume, as in `slices.arrange`.
    RescaleError, NotHounsfieldError
        If a slice cannot be converted to Hounsfield units, or is in other units.
    """
    images = [instance for instance in series.instances if instance.planes]
    for image in images:
        _require_encoding(image)
    _require_decoders(images)
    _require_one_multiframe(images)
    arrangement = arrange(series.planes, repair_gaps=repair_gaps)
    _require_own_uids(arrangement.planes)
    _require_rescale(arrangement.planes)
    for image in images:
        if other_quantity(image.image_type):
            raise NotHounsfieldError("Image Type names another quantity than Hounsfield units")
    return arrangement


def refusal(series: Series, *, repair_gaps: bool = False) -> InputError | GeometryError | PixelError | None:
    """Return the error that `require_usable` raises, or None.

    Parameters
    ----------
    series : Series
        The series, whose pixels are not read.
    repair_gaps : bool
        True if the longest regular part of an irregular stack is enough.
    """
    try:
        require_usable(series, repair_gaps=repair_gaps)
    except (InputError, GeometryError, PixelError) as error:
        return error
    return None


def states_hounsfield(series: Series) -> bool:
    """Return whether the headers say that the values are Hounsfield units.

    They do by (0028,1054) *Rescale Type*, but not by HU_MOD; where it is missing, original images are in Hounsfield
    units (PS3.3 C.8.2.1), and derived ones are if *Image Type* has a value of such images only.

    Parameters
    ----------
    series : Series
        The series, whose pixels are not read.
    """
    words = {_word(plane.rescale_type) for plane in series.planes}
    if _MODIFIED in words:
        return False
    if not words & _UNSPECIFIED:
        return True
    return series.image_type[:1] == ("ORIGINAL",) or is_hounsfield_type(series.image_type)


def _word(rescale_type: str) -> str:
    return "".join(character for character in rescale_type.upper() if character.isalpha())


def _require_encoding(image: InstanceHeader) -> None:
    name = f"instance {hashed(image.sop_instance_uid)}"
    if not image.is_ct:
        raise UnsupportedImageError(f"{name} is not a CT image but {_name(image.sop_class_uid)}")
    if image.photometric != "MONOCHROME2" or image.samples_per_pixel != 1:
        kind = image.photometric if image.photometric in _PHOTOMETRIC else "of unknown type"
        raise PhotometricError(f"{name} is {kind} with {counted(image.samples_per_pixel, 'sample')} per pixel")
    if image.has_float_pixels:
        raise UnsupportedImageError(f"{name} has floating-point pixels")
    allocated, stored = image.bits_allocated, image.bits_stored
    valid = allocated in _BITS_ALLOCATED and stored is not None and 1 <= stored <= (allocated or 0)
    if not valid or image.pixel_representation not in (0, 1):
        raise UnsupportedImageError(
            f"{name} has {stored} bits stored of {allocated} allocated and pixel representation "
            f"{image.pixel_representation}, which cannot be read"
        )
    if stored is not None and (image.high_bit or 0) >= stored:
        # A high bit below the highest one of the value is a slip in the header, and shifts nothing.
        raise UnsupportedImageError(f"{name} has {stored} bits stored with high bit {image.high_bit}: they are shifted")
    if image.frames != len(image.planes):
        raise UnsupportedImageError(f"{name} has {image.frames} frames and positions for {len(image.planes)}")


def _name(uid: str) -> str:
    """Return the name of a UID of the standard; one that is not is text from a header, and is not repeated."""
    name = UID(uid).name
    return name if name != uid else "of a kind that DICOM does not define"


def _require_decoders(images: Sequence[InstanceHeader]) -> None:
    for syntax in sorted({image.transfer_syntax for image in images}):
        try:
            available = get_decoder(UID(syntax)).is_available
        except NotImplementedError:
            available = False
        if not available:
            raise UnsupportedImageError(f"{_name(syntax)} cannot be decoded here")


def _require_one_multiframe(images: Sequence[InstanceHeader]) -> None:
    """Refuse an Enhanced CT in several instances: a segmentation refers to the frames of one."""
    multiframe = sum(image.planes[0].source.frame is not None for image in images)
    if multiframe and len(images) > 1:
        raise UnsupportedImageError(
            f"the series is stored in {len(images)} instances, {multiframe} of them multi-frame",
            advice="Export the series as single-frame CT images, or as one multi-frame instance.",
        )


def _require_own_uids(planes: Sequence[Plane]) -> None:
    """Refuse slices that share a SOP Instance UID: a segmentation refers to each of them by it."""
    referred = {(plane.source.sop_instance_uid, plane.source.frame) for plane in planes}
    if len(referred) < len(planes):
        raise UnsupportedImageError(
            f"{len(planes)} slices have {len(referred)} different SOP Instance UIDs",
            advice="Export the series again; (0008,0018) SOP Instance UID must identify one slice.",
        )


def _require_rescale(planes: Sequence[Plane]) -> None:
    lacking = sum(not plane.slope or plane.intercept is None for plane in planes)
    if lacking:
        raise RescaleError(
            f"Rescale Slope or Rescale Intercept is missing, zero or malformed in {lacking} of {len(planes)} slices"
        )
    for plane in planes:
        slope, intercept = abs(plane.slope or 0.0), abs(plane.intercept or 0.0)
        if not _MIN_SLOPE <= slope <= _MAX_SLOPE or intercept > _MAX_INTERCEPT:
            raise RescaleError(f"Rescale Slope {plane.slope:g} and Intercept {plane.intercept:g} are not those of a CT")
        if _word(plane.rescale_type) not in _HOUNSFIELD_WORDS:
            # Spectral scanners also store electron density, effective atomic number or iodine. The value is free text.
            raise RescaleError("Rescale Type is not HU")
