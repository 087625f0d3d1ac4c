"""Whether values are Hounsfield units: where the air, the fat and the muscle of a patient must lie.

By definition water is 0 HU and air -1000 HU (Hounsfield 1973), so that fat and muscle, of which most of a neck
consists, lie within 200 HU of 0 in every CT. Values with another offset, on another scale or cut to a window still look
like a CT to a network.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cspine.core.errors import NotHounsfieldError
from cspine.core.volumes import HuArray

#: Values below are padding or outside the field of reconstruction; air itself has noise.
_PADDING_HU = -1150.0
#: Values between air and fat: lung, and edges of the patient.
_AIR_HU = -500.0
#: Fat and muscle, with contrast medium and noise.
_SOFT_TISSUE_HU = (-200.0, 200.0)
_BIN_HU = 20.0
#: Scanners store no more, even for metal on an extended scale.
_MAX_HU = 65_536.0
#: From fat to bone, any CT of a patient spans more.
_MIN_SPAN_HU = 250.0
#: Bone, from trabecular to dense cortical bone.
_BONE_HU = (300.0, 700.0)
#: Where a patient lies whose air is at 0: bone has no such peak.
_SHIFTED_PATIENT_HU = (850.0, 1250.0)
#: Offsets of unsigned and of signed values that are taken for HU.
_OFFSETS_HU = (-1024.0, 1024.0, -1000.0, 1000.0)
#: Where air and lung have their most common value: the tail of noisy or mixed values below has none.
_AIR_PEAK_HU = (-1150.0, -650.0)
_BELOW_FAT_HU = -300.0
#: Fewer values below fat may be noise.
_MIN_AIR = 0.01
#: A true peak stands out from what lies between it and fat by this factor.
_MIN_PROMINENCE = 2.0
#: An image without a window shows values beyond these: air, and cortical bone.
_WINDOW_HU = (-500.0, 1000.0)
#: If more values of the patient lie at one end of the image, they were cut to it.
_MAX_AT_END = 0.005
#: No more different values are those of an image that was drawn, not of a scan.
_MAX_DRAWN = 32
#: Values to look at; a volume has more.
_SAMPLE = 2_000_000
#: Fewer values say nothing; ten slices of 64 x 64 pixels have twice as many.
_MIN_VALUES = 20_000
#: Fewer values above air are no patient.
_MIN_PATIENT = 500


@dataclass(frozen=True)
class UnitDoubt:
    """Why values are not Hounsfield units.

    Parameters
    ----------
    reason : str
        What was observed, with the numbers.
    is_certain : bool
        True where no CT in Hounsfield units has such values; False where an unusual one may.
    """

    reason: str
    is_certain: bool


def doubt_hounsfield(hu_zyx: HuArray) -> UnitDoubt | None:
    """Return why the values of an image of a patient are not Hounsfield units, or None if they may be.

    Parameters
    ----------
    hu_zyx : ndarray, shape (z, y, x)
        The values.

    Examples
    --------
    >>> water = np.full((10, 20, 20), 30, np.int16)
    >>> water[:, :, :2], water[:, :, 2:6] = -1000, -90
    >>> doubt_hounsfield(water) is None
    True
    >>> doubt_hounsfield(water + np.int16(1024)).is_certain
    True
    """
    if np.issubdtype(hu_zyx.dtype, np.floating) and not np.isfinite(hu_zyx).all():
        return UnitDoubt("some values are infinite or not numbers", is_certain=True)
    values = _sample(hu_zyx)
    if values.min(initial=0.0) >= 0:
        return UnitDoubt("no value is below 0, but every CT shows fat or air", is_certain=True)
    if len(values) < _MIN_VALUES:
        return None
    if values.max() > _AIR_HU and (span := float(np.ptp(values))) < _MIN_SPAN_HU:
        return UnitDoubt(f"the values span {span:g}, but a CT spans {_MIN_SPAN_HU:g} and more", is_certain=True)
    if (reason := _off_zero(values)) is None:
        reason = _cut_to_window(values) or _off_air(values)
        return UnitDoubt(reason, is_certain=False) if reason is not None else None
    offset = next((o for o in _OFFSETS_HU if _off_zero(values - o) is None and (values - o).min() < 0), None)
    if offset is None:
        return UnitDoubt(reason, is_certain=False)
    return UnitDoubt(f"{reason}; with an offset of {-offset:+.0f} they would be", is_certain=True)


def require_hounsfield(hu_zyx: HuArray, name: str) -> None:
    """Refuse values that are certainly not Hounsfield units.

    Parameters
    ----------
    hu_zyx : ndarray, shape (z, y, x)
        The values.
    name : str
        The image, as the message names it.

    Raises
    ------
    NotHounsfieldError
        If they are not.
    """
    doubt = doubt_hounsfield(hu_zyx)
    if doubt is not None and doubt.is_certain:
        raise NotHounsfieldError(f"{name} is not in Hounsfield units: {doubt.reason}")


def _sample(hu_zyx: HuArray) -> NDArray[np.float32]:
    step = max(1, int((hu_zyx.size / _SAMPLE) ** (1 / 3)))
    return hu_zyx[::step, ::step, ::step].astype(np.float32).ravel()


def _off_zero(values: NDArray[np.float32]) -> str | None:
    """Return how the values of the patient differ from those of fat and muscle, or None if they do not."""
    if values.max() <= 0:
        return "no value is above 0, but every CT shows muscle or bone"
    patient = values[values > _AIR_HU]
    if len(patient) < _MIN_PATIENT:
        return f"only {len(patient) / len(values):.1%} of the values are above {_AIR_HU:.0f}"
    peak = _peak(patient)
    low, high = _SOFT_TISSUE_HU
    if not low <= peak <= high:
        return f"the patient's most common value is {peak:.0f}, but fat and muscle lie from {low:.0f} to {high:.0f}"
    bone, shifted = (_share(patient, *bounds) for bounds in (_BONE_HU, _SHIFTED_PATIENT_HU))
    air = _share(values, _PADDING_HU, _AIR_HU)
    if shifted > 0.03 and shifted > 1.5 * bone and air < 0.01:
        return (
            f"{shifted:.0%} of the values lie from {_SHIFTED_PATIENT_HU[0]:.0f} to {_SHIFTED_PATIENT_HU[1]:.0f}, where "
            f"only the densest bone does, and {air:.0%} are those of air"
        )
    return None


def _cut_to_window(values: NDArray[np.float32]) -> str | None:
    """Return which end of the values was cut to a window, as for display, or None if neither was."""
    patient = values[values > _AIR_HU]
    low, high = float(values.min()), float(values.max())
    for end, is_inside in ((high, high < _WINDOW_HU[1]), (low, low > _WINDOW_HU[0])):
        share = float((patient == end).mean())
        if is_inside and share > _MAX_AT_END and len(np.unique(patient)) > _MAX_DRAWN:
            return f"{share:.1%} of the values are exactly {end:.0f}, and none lies beyond, as if cut to a window"
    return None


def _off_air(values: NDArray[np.float32]) -> str | None:
    """Return how the values of air differ from -1000, or None if they do not or there is no air."""
    padding = (values < _PADDING_HU) & (values == values.min())
    air = values[(values < _BELOW_FAT_HU) & ~padding]
    if len(air) < _MIN_AIR * len(values):
        return None
    smooth, centres = _histogram(air, -_MAX_HU, _BELOW_FAT_HU)
    at = int(np.argmax(smooth))
    low, high = _AIR_PEAK_HU
    if low <= centres[at] <= high or smooth[at] < _MIN_PROMINENCE * smooth[at:].min():
        return None
    return f"the most common value of air is {centres[at]:.0f}, but air and lung lie from {low:.0f} to {high:.0f}"


def _peak(values: NDArray[np.float32]) -> float:
    """Return the most common value, to the width of a bin."""
    smooth, centres = _histogram(values, _AIR_HU, _MAX_HU)
    return float(centres[int(np.argmax(smooth))])


def _histogram(values: NDArray[np.float32], low: float, high: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the smoothed numbers of values and the centres of their bins."""
    counts, edges = np.histogram(values, np.arange(low, high + _BIN_HU / 2, _BIN_HU))
    return np.convolve(counts, np.ones(3), mode="same"), (edges[:-1] + edges[1:]) / 2


def _share(values: NDArray[np.float32], low: float, high: float) -> float:
    return float(((values >= low) & (values <= high)).mean())
