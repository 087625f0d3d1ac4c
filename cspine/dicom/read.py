"""Read a selected series into Hounsfield units on an orthogonal grid.

Bits above *Bits Stored* are part of the value where they continue it, because scanners and converters do use them, and
are masked where they are an overlay's.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.pixels.utils import pixel_array
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless, JPEGLSNearLossless

from cspine.core.errors import PixelError, hashed
from cspine.core.geometry import deshear, orthogonal_grid, shear_mm
from cspine.core.hounsfield import require_hounsfield
from cspine.core.volumes import CtSource, CtVolume, HuArray
from cspine.dicom.headers import Plane
from cspine.dicom.series import Series
from cspine.dicom.slices import Arrangement
from cspine.dicom.streams import require_complete
from cspine.dicom.unused_bits import BitEvidence, bit_evidence, is_overlay, without_upper_bits
from cspine.dicom.usable import require_usable
from cspine.io.foreign import foreign_file
from cspine.io.machine import usable_cores
from cspine.io.tables import counted

_log = logging.getLogger(__name__)
AIR_HU = -1024
_INT16 = np.iinfo(np.int16)
#: Decoders that take a fraction of the time of the one that pydicom prefers; the values are the same.
_QUICKEST_DECODERS = {JPEGLSLossless: "pyjpegls", JPEGLSNearLossless: "pyjpegls"}


@dataclass(frozen=True, eq=False)
class _Stored:
    """Stored values of a slice with all their bits, what the upper ones are, and the ends of its padding."""

    stored_yx: NDArray[np.integer]
    bits: BitEvidence
    bits_stored: int
    padding: tuple[int | None, int | None]


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
    GeometryError, UnsupportedImageError, PhotometricError, RescaleError
        If the headers show that the series cannot be used, as in `usable.require_usable`.
    PixelError
        If pixels cannot be decoded, or a compressed stream is incomplete.
    NotHounsfieldError
        If the values are not Hounsfield units.
    """
    arrangement = require_usable(series, repair_gaps=repair_gaps)
    notes = list(arrangement.notes)
    if series.damaged:
        damaged = counted(series.damaged, "damaged file")
        notes.append(f"{damaged} of the series had to be excluded; the remaining slices are regular")
    stored = _decode_all(arrangement.planes)
    overlays = sum(bool(slice_.bits.pixels) for slice_ in stored) if is_overlay(s.bits for s in stored) else 0
    if overlays:
        notes.append(f"bits above Bits Stored are an overlay in {counted(overlays, 'slice')} and were masked")
    decoded = _interpret_all(arrangement.planes, stored, mask=bool(overlays))
    hu_zyx = _to_hu(arrangement.planes, decoded)
    require_hounsfield(hu_zyx, "the series")
    _require_common_scale(hu_zyx, arrangement.planes)
    source = CtSource(tuple(plane.source for plane in arrangement.planes), arrangement.grid)
    for note in notes:
        _log.warning("series %s: %s", hashed(series.series_uid), note)
    return _orthogonal(hu_zyx, arrangement, source, tuple(notes))


def _require_common_scale(hu_zyx: HuArray, planes: Sequence[Plane]) -> None:
    """Refuse slices whose rescale differs from that of the others and does not give Hounsfield units."""
    by_scale: dict[tuple[float | None, float | None], list[int]] = defaultdict(list)
    for index, plane in enumerate(planes):
        by_scale[plane.slope, plane.intercept].append(index)
    if len(by_scale) == 1:
        return
    for (slope, intercept), indices in by_scale.items():
        name = f"the {counted(len(indices), 'slice')} with Rescale Slope {slope:g} and Intercept {intercept:g}"
        require_hounsfield(hu_zyx[indices], name)


def _orthogonal(hu_zyx: HuArray, arrangement: Arrangement, source: CtSource, notes: tuple[str, ...]) -> CtVolume:
    grid = arrangement.grid
    if max(abs(shear) for shear in shear_mm(grid.affine_lps)) < 1e-9:
        return CtVolume(hu_zyx, grid.affine_lps, source, notes)
    orthogonal = orthogonal_grid(grid)
    resampled = cast("HuArray", deshear(hu_zyx, grid, orthogonal, AIR_HU))
    return CtVolume(resampled, orthogonal.affine_lps, source, notes)


# --- decoding ---------------------------------------------------------------------------------------------------------


def _decode_all(planes: Sequence[Plane]) -> list[_Stored]:
    """Return every plane decoded, in parallel over files or over the frames of a file; each file is read once."""
    by_file: dict[Path, list[int]] = defaultdict(list)
    for index, plane in enumerate(planes):
        by_file[plane.source.path].append(index)
    decoded: dict[int, _Stored] = {}
    with ThreadPoolExecutor(usable_cores()) as pool:
        if len(by_file) == len(planes):
            return list(pool.map(lambda plane: _decode(_open(plane.source.path), plane), planes))
        for path, indices in by_file.items():
            dataset = _open(path)
            results = pool.map(lambda i, of=dataset: _decode(of, planes[i]), indices)
            decoded.update(zip(indices, results, strict=True))
    return [decoded[index] for index in range(len(planes))]


def _open(path: Path) -> Dataset:
    with foreign_file(lambda kind: PixelError(f"a file of the series cannot be read ({kind})")):
        dataset = dcmread(path, force=True)
        if "TransferSyntaxUID" not in dataset.file_meta:
            implicit = dataset.original_encoding[0]
            dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        return dataset


def _decode(dataset: Dataset, plane: Plane) -> _Stored:
    name, frame = hashed(plane.source.sop_instance_uid), plane.source.frame or 0

    def damaged(kind: str) -> PixelError:
        syntax = dataset.file_meta.TransferSyntaxUID.name
        return PixelError(f"pixels of instance {name} in transfer syntax {syntax} cannot be decoded ({kind})")

    with foreign_file(damaged):
        require_complete(dataset, frame)
        stored = _pixels(dataset, frame, correct_unused_bits=False)
        if _lacks_signs(dataset, stored):
            stored = _pixels(dataset, frame, correct_unused_bits=True)
        if stored.shape != (plane.rows, plane.columns):
            raise PixelError(f"instance {name} decodes to {stored.shape[0]} x {stored.shape[1]} pixels")
        first, last = (
            _as_stored(dataset.get(k), stored.dtype) for k in ("PixelPaddingValue", "PixelPaddingRangeLimit")
        )
        evidence = bit_evidence(stored, dataset, _padding(stored, first, last))
        return _Stored(stored, evidence, int(dataset.BitsStored), (first, last))


def _pixels(dataset: Dataset, frame: int, *, correct_unused_bits: bool) -> NDArray[np.integer]:
    """Return the values of a frame, by the quickest decoder, or by whichever decodes them if that one cannot."""
    quickest = _QUICKEST_DECODERS.get(dataset.file_meta.TransferSyntaxUID)
    if quickest is not None:
        with suppress(Exception):  # whatever a damaged stream makes it raise: the others have their try
            return pixel_array(
                dataset, index=frame, raw=True, correct_unused_bits=correct_unused_bits, decoding_plugin=quickest
            )
    return pixel_array(dataset, index=frame, raw=True, correct_unused_bits=correct_unused_bits)


def _interpret_all(planes: Sequence[Plane], stored: Sequence[_Stored], *, mask: bool) -> list[_Decoded]:
    """Return the values of every slice with their padding, without upper bits if these are masked."""

    def interpret(slice_: _Stored, plane: Plane) -> _Decoded:
        values = without_upper_bits(slice_.stored_yx, slice_.bits_stored) if mask else slice_.stored_yx
        # The declared value may have upper bits itself, or lie beneath an overlay.
        padding = _padding(slice_.stored_yx, *slice_.padding)
        if mask and (beneath := _padding(values, *slice_.padding)) is not None:
            padding = beneath if padding is None else padding | beneath
        return _Decoded(values, padding, _fits_int16(values if padding is None else values[~padding], plane))

    with ThreadPoolExecutor(usable_cores()) as pool:
        return list(pool.map(interpret, stored, planes))


def _lacks_signs(dataset: Dataset, stored: NDArray[np.integer]) -> bool:
    """Return whether signed values were stored without sign extension, so that none is negative."""
    bits = int(dataset.get("BitsStored") or 16)
    if not dataset.get("PixelRepresentation") or bits >= stored.dtype.itemsize * 8:
        return False
    return bool(stored.min() >= 0 and stored.max() >= 2 ** (bits - 1))


def _padding(stored: NDArray[np.integer], first: int | None, last: int | None) -> NDArray[np.bool_] | None:
    """Return a mask of (0028,0120) *Pixel Padding Value*, up to (0028,0121) its *Range Limit*, or None."""
    if first is None:
        return None
    last = first if last is None else last
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
