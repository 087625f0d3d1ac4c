"""Read a selected series into Hounsfield units on an orthogonal grid.

Bits above *Bits Stored* are part of the value, because scanners and converters do use them.
"""

from __future__ import annotations

import logging
import struct
import zlib
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.pixels.utils import pixel_array
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from cspine.core.errors import PhotometricError, PixelError, RescaleError, hashed
from cspine.core.geometry import deshear, orthogonal_grid, shear_mm
from cspine.core.volumes import CtSource, CtVolume, HuArray
from cspine.dicom.headers import Plane
from cspine.dicom.series import Series
from cspine.dicom.slices import Arrangement, arrange
from cspine.io.machine import usable_cores

_log = logging.getLogger(__name__)
AIR_HU = -1024
# Spectral scanners also store electron density, effective atomic number or iodine; US is "unspecified".
_HU_TYPES = ("", "HU", "HU_MOD", "US")
_INT16 = np.iinfo(np.int16)
_UNDECODABLE = (
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True, eq=False)
class _Decoded:
    """Stored values of a slice, its padding, and whether its Hounsfield units are integers that fit into 16 bits."""

    stored_yx: NDArray[np.integer]
    padding_yx: NDArray[np.bool_] | None
    fits_int16: bool


def read_volume(series: Series, *, repair_gaps: bool = False) -> CtVolume:
    """Return the volume of a series in Hounsfield units.

    Parameters
    ----------
    series : Series
        A series of the scan.
    repair_gaps : bool
        Passed to `slices.arrange`.

    Returns
    -------
    CtVolume
        int16 if every value is an integer that fits, else float32; slices along the normal (row x column direction), so
        that the grid is right-handed. Padding is -1024 HU. ``source`` has the stored slices and their grid.

    Raises
    ------
    GeometryError
        If the slices do not form a volume, as in `slices.arrange`.
    PhotometricError
        If an image is not MONOCHROME2 with one sample per pixel.
    RescaleError
        If a slice cannot be converted to Hounsfield units.
    PixelError
        If pixels cannot be decoded.
    """
    _require_monochrome2(series)
    arrangement = arrange(series.planes, repair_gaps=repair_gaps)
    _require_hounsfield(arrangement.planes)
    notes = list(arrangement.notes)
    if series.damaged:
        notes.append(f"{series.damaged} damaged file(s) of the series were excluded; the remaining slices are regular")
    hu_zyx = _to_hu(arrangement.planes, _decode_all(arrangement.planes))
    source = CtSource(tuple(plane.source for plane in arrangement.planes), arrangement.grid)
    for note in notes:
        _log.warning("series %s: %s", hashed(series.series_uid), note)
    return _orthogonal(hu_zyx, arrangement, source, tuple(notes))


def _orthogonal(hu_zyx: HuArray, arrangement: Arrangement, source: CtSource, notes: tuple[str, ...]) -> CtVolume:
    grid = arrangement.grid
    if max(abs(shear) for shear in shear_mm(grid.affine_lps)) < 1e-9:
        return CtVolume(hu_zyx, grid.affine_lps, source, notes)
    orthogonal = orthogonal_grid(grid)
    resampled = cast("HuArray", deshear(hu_zyx, grid, orthogonal, AIR_HU))
    return CtVolume(resampled, orthogonal.affine_lps, source, notes)


def _require_monochrome2(series: Series) -> None:
    for instance in series.instances:
        if instance.planes and (instance.photometric != "MONOCHROME2" or instance.samples_per_pixel != 1):
            raise PhotometricError(
                f"instance {hashed(instance.sop_instance_uid)} is {instance.photometric or 'of unknown type'} with "
                f"{instance.samples_per_pixel} sample(s) per pixel"
            )


def _require_hounsfield(planes: Sequence[Plane]) -> None:
    lacking = sum(not plane.slope or plane.intercept is None for plane in planes)
    if lacking:
        raise RescaleError(
            f"Rescale Slope or Rescale Intercept is missing, zero or malformed in {lacking} of {len(planes)} slices"
        )
    for plane in planes:
        if plane.rescale_type.upper() not in _HU_TYPES:
            raise RescaleError(f"Rescale Type is {plane.rescale_type!r}, not HU")


# --- decoding ---------------------------------------------------------------------------------------------------------


def _decode_all(planes: Sequence[Plane]) -> list[_Decoded]:
    """Return every plane decoded, in parallel over files or over the frames of a file; each file is read once."""
    by_file: dict[Path, list[int]] = defaultdict(list)
    for index, plane in enumerate(planes):
        by_file[plane.source.path].append(index)
    decoded: dict[int, _Decoded] = {}
    with ThreadPoolExecutor(usable_cores()) as pool:
        if len(by_file) == len(planes):
            return list(pool.map(lambda plane: _decode(_open(plane.source.path), plane), planes))
        for path, indices in by_file.items():
            dataset = _open(path)
            results = pool.map(lambda i, of=dataset: _decode(of, planes[i]), indices)
            decoded.update(zip(indices, results, strict=True))
    return [decoded[index] for index in range(len(planes))]


def _open(path: Path) -> Dataset:
    try:
        dataset = dcmread(path, force=True)
        if "TransferSyntaxUID" not in dataset.file_meta:
            implicit = dataset.original_encoding[0]
            dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        return dataset
    except _UNDECODABLE as error:
        raise PixelError(f"a file of the series cannot be read ({type(error).__name__})") from error


def _decode(dataset: Dataset, plane: Plane) -> _Decoded:
    try:
        keep = _upper_bits_are_values(dataset)
        stored = pixel_array(dataset, index=plane.source.frame or 0, raw=True, correct_unused_bits=not keep)
        if keep and _lacks_signs(dataset, stored):
            stored = pixel_array(dataset, index=plane.source.frame or 0, raw=True)
    except _UNDECODABLE as error:
        raise PixelError(
            f"pixels of instance {hashed(plane.source.sop_instance_uid)} in transfer syntax "
            f"{dataset.file_meta.TransferSyntaxUID.name} cannot be decoded ({type(error).__name__})"
        ) from error
    if stored.shape != (plane.rows, plane.columns):
        raise PixelError(
            f"instance {hashed(plane.source.sop_instance_uid)} decodes to {stored.shape[0]} x {stored.shape[1]} pixels"
        )
    padding = _padding(dataset, stored)
    kept = stored if padding is None else stored[~padding]
    return _Decoded(stored, padding, _fits_int16(kept, plane))


def _upper_bits_are_values(dataset: Dataset) -> bool:
    """Return whether bits above (0028,0101) *Bits Stored* are part of the values, not a retired overlay."""
    positions = ((group, 0x0102) for group in range(0x6000, 0x6020, 2))
    return not any(tag in dataset and dataset[tag].value for tag in positions)


def _lacks_signs(dataset: Dataset, stored: NDArray[np.integer]) -> bool:
    """Return whether signed values were stored without sign extension, so that none is negative."""
    bits = int(dataset.get("BitsStored") or 16)
    if not dataset.get("PixelRepresentation") or bits >= stored.dtype.itemsize * 8:
        return False
    return bool(stored.min() >= 0 and stored.max() >= 2 ** (bits - 1))


def _padding(dataset: Dataset, stored: NDArray[np.integer]) -> NDArray[np.bool_] | None:
    """Return a mask of (0028,0120) *Pixel Padding Value*, up to (0028,0121) its *Range Limit*, or None."""
    ends = [_as_stored(dataset.get(k), stored.dtype) for k in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    if ends[0] is None:
        return None
    first, last = ends[0], ends[0] if ends[1] is None else ends[1]
    found = (stored >= min(first, last)) & (stored <= max(first, last))
    return found if found.any() else None


def _as_stored(value: object, dtype: np.dtype[np.integer]) -> int | None:
    """Return a padding value as the pixels store it: some writers confuse its sign (US and SS)."""
    if not isinstance(value, int):
        return None
    info = np.iinfo(dtype)
    if info.min <= value <= info.max:
        return value
    wrapped = (value - int(info.min)) % 2**info.bits + int(info.min)
    return wrapped if abs(wrapped - value) == 2**info.bits else None


# --- values -----------------------------------------------------------------------------------------------------------


def _rescaled(stored: NDArray[np.integer], plane: Plane) -> NDArray[np.float64]:
    assert plane.slope is not None and plane.intercept is not None
    return np.asarray(stored * np.float64(plane.slope) + plane.intercept)


def _fits_int16(stored: NDArray[np.integer], plane: Plane) -> bool:
    assert plane.slope is not None and plane.intercept is not None
    if stored.size == 0:
        return True
    ends = _rescaled(np.array([stored.min(), stored.max()]), plane)
    if ends.min() < _INT16.min or ends.max() > _INT16.max:
        return False
    if plane.slope.is_integer() and plane.intercept.is_integer():
        return True
    values = _rescaled(stored, plane)
    return bool((values == np.rint(values)).all())


def _to_hu(planes: Sequence[Plane], decoded: list[_Decoded]) -> HuArray:
    """Return stored values in HU; the type depends on all slices. Empties ``decoded`` to free memory on the way."""
    fits = all(slice_.fits_int16 for slice_ in decoded)
    shape = (len(decoded), planes[0].rows, planes[0].columns)
    hu_zyx: HuArray = np.empty(shape, dtype=np.int16) if fits else np.empty(shape, dtype=np.float32)
    for k in reversed(range(len(planes))):
        slice_ = decoded.pop()
        values = _rescaled(slice_.stored_yx, planes[k])
        if slice_.padding_yx is not None:
            values[slice_.padding_yx] = AIR_HU
        hu_zyx[k] = values
    return hu_zyx
