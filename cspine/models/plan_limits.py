"""The range of the values of a plan: what no network of nnU-Net has is refused before it costs memory or time.

`plans` checks which names a plan may contain; here are its numbers.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from cspine.core.errors import UnsupportedModelError

Json = Mapping[str, Any]

#: nnU-Net's patches of large GPUs have 2^24 voxels, and the shortest side of a patch is that of a thick-slice network.
MIN_PATCH, MAX_PATCH, MAX_PATCH_VOXELS = 4, 2048, 2**27
#: Voxel sizes of networks for patients, millimetres.
SPACING_MM = (0.05, 50.0)
#: Labels are stored as eight-bit numbers.
MAX_CLASSES = 255
MAX_STAGES = 12
#: The largest networks of nnU-Net (ResEnc XL) have fewer than 10^9 weights.
MAX_WEIGHTS = 2 * 10**9
#: Hounsfield units and what their normalisation adds.
_MAX_INTENSITY = 1e6
_CT_PROPERTIES = ("mean", "std", "percentile_00_5", "percentile_99_5")
#: Whole numbers of a network, alone or a list of them (of lists, for each axis), with their range.
_NETWORK_NUMBERS = {
    "n_stages": (1, MAX_STAGES),
    "features_per_stage": (1, 8192),
    "kernel_sizes": (1, 15),
    "strides": (1, 8),
    "n_conv_per_stage": (0, 32),
    "n_blocks_per_stage": (0, 32),
    "n_conv_per_stage_decoder": (0, 32),
    "bottleneck_channels": (1, 8192),
    "stem_channels": (1, 8192),
}
_NETWORK_FLAGS = ("conv_bias", "nonlin_first", "deep_supervision")
_INTERPOLATIONS = ("linear", "nearest", "nearest-exact")


def integer(value: object, low: int, high: int, what: str) -> int:
    """Return a whole number of a range.

    Parameters
    ----------
    value : object
        What a file states.
    low, high : int
        Limits, both included.
    what : str
        What messages call the number.

    Raises
    ------
    UnsupportedModelError
        If it is not a whole number, or outside the limits.

    Examples
    --------
    >>> integer(3, 0, 5, "order")
    3
    >>> integer(1e9, 0, 5, "order")
    Traceback (most recent call last):
    cspine.core.errors.models.UnsupportedModelError: [CS-MOD-005] order is 1e+09, not a whole number from 0 to 5
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not low <= value <= high
        or value != int(value)
    ):
        shown = f"{value:g}" if isinstance(value, (int, float)) else f"a {type(value).__name__}"
        raise UnsupportedModelError(f"{what} is {shown}, not a whole number from {low} to {high}")
    return int(value)


def number(value: object, low: float, high: float, what: str) -> float:
    """Return a number of a range.

    Parameters
    ----------
    value : object
        What a file states.
    low, high : float
        Limits, both included.
    what : str
        What messages call the number.

    Raises
    ------
    UnsupportedModelError
        If it is not a number, or outside the limits.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        shown = f"{value:g}" if isinstance(value, (int, float)) else f"a {type(value).__name__}"
        raise UnsupportedModelError(f"{what} is {shown}, not a number from {low:g} to {high:g}")
    return float(value)


def patch_of(values: object) -> tuple[int, ...]:
    """Return a patch size of two or three sides.

    Parameters
    ----------
    values : object
        What plans.json states as the patch size.

    Raises
    ------
    UnsupportedModelError
        If it is not a list of two or three sides, or the patch does not fit into memory.
    """
    patch = tuple(integer(value, MIN_PATCH, MAX_PATCH, "a side of the patch") for value in _list(values, "patch size"))
    if len(patch) not in (2, 3) or math.prod(patch) > MAX_PATCH_VOXELS:
        raise UnsupportedModelError(f"patch size {patch} is not one of two or three sides that fits into memory")
    return patch


def spacing_of(values: object, sides: int) -> tuple[float, ...]:
    """Return a voxel size in millimetres, with as many numbers as the patch has sides.

    Parameters
    ----------
    values : object
        What plans.json states as the spacing.
    sides : int
        Number of sides of the patch.

    Raises
    ------
    UnsupportedModelError
        If it is not a list of so many numbers within `SPACING_MM`.
    """
    spacing = tuple(number(value, *SPACING_MM, "the spacing") for value in _list(values, "spacing"))
    if len(spacing) != sides:
        raise UnsupportedModelError(f"patch size and spacing {spacing} do not match")
    return spacing


def transposition_of(values: object, what: str) -> tuple[int, int, int]:
    """Return an order of three axes.

    Parameters
    ----------
    values : object
        What plans.json states as the order.
    what : str
        What messages call it.

    Raises
    ------
    UnsupportedModelError
        If it is not a list of 0, 1 and 2 in some order.
    """
    axes = tuple(integer(value, 0, 2, what) for value in _list(values, what))
    if sorted(axes) != [0, 1, 2]:
        raise UnsupportedModelError(f"{what} {axes} is not an order of three axes")
    return axes[0], axes[1], axes[2]


def intensities_of(values: Json, scheme: str) -> dict[str, float]:
    """Return the intensities of the training images; those that CTNormalization uses are required.

    Parameters
    ----------
    values : mapping
        Intensity properties of a channel in plans.json.
    scheme : str
        Name of the normalisation; only CTNormalization uses intensities.

    Returns
    -------
    dict of str to float
        Mean, standard deviation and percentiles by name; empty for another normalisation.

    Raises
    ------
    UnsupportedModelError
        If a property that is used is missing or impossible.
    """
    found = {
        str(key): number(value, -_MAX_INTENSITY, _MAX_INTENSITY, f"intensity property {key}")
        for key, value in values.items()
        if scheme == "CTNormalization" and key in _CT_PROPERTIES
    }
    if scheme != "CTNormalization":
        return found
    lacking = [key for key in _CT_PROPERTIES if key not in found]
    if lacking:
        raise UnsupportedModelError(f"the intensity properties lack {', '.join(lacking)}")
    if found["std"] <= 0 or found["percentile_00_5"] >= found["percentile_99_5"]:
        raise UnsupportedModelError("the intensity properties are those of an image of one value")
    return found


def require_resampling(allowed: Collection[str], arguments: Json, what: str) -> None:
    """Refuse arguments that a resampling function of nnU-Net does not have, or that no resampling has.

    Parameters
    ----------
    allowed : collection of str
        Names of the arguments that the function has.
    arguments : mapping
        Arguments in plans.json.
    what : str
        What messages call the function.

    Raises
    ------
    UnsupportedModelError
        If a name or a value is not supported.
    """
    for key, value in arguments.items():
        name = f"{what}: {key}"
        if key not in allowed:
            raise UnsupportedModelError(f"{what} has an unknown argument {key!r}")
        if key in ("order", "order_z"):
            integer(value, 0, 5, name)
        elif key == "separate_z_anisotropy_threshold":
            number(value, 0, 1e6, name)
        elif key in ("mode", "aniso_axis_mode"):
            _require(value in _INTERPOLATIONS, name, value)
        elif key == "force_separate_z":
            _require(value is None or isinstance(value, bool), name, value)
        elif key in ("is_seg", "memefficient_seg_resampling"):
            _require(isinstance(value, bool), name, value)
        else:
            raise UnsupportedModelError(f"{name} is not supported")


def require_network(arguments: Json, patch: tuple[int, ...], channels: int, classes: int) -> None:
    """Refuse a network whose numbers are out of range, whose layers do not fit the patch, or which is too large.

    Parameters
    ----------
    arguments : mapping
        Keyword arguments of the network.
    patch : tuple of int
        Patch size.
    channels, classes : int
        Input and output channels.
    """
    integer(classes, 2, MAX_CLASSES + 1, "the number of classes")
    for key, value in arguments.items():
        if key in _NETWORK_NUMBERS and value is not None:
            for each in _flat(value):
                integer(each, *_NETWORK_NUMBERS[key], f"network argument {key}")
        elif key in _NETWORK_FLAGS:
            _require(isinstance(value, bool), f"network argument {key}", value)
        elif key.endswith("_kwargs"):
            _require_options(value, f"network argument {key}")
    convolution = str(arguments.get("conv_op")).rpartition(".")[2]
    _require(convolution == f"Conv{len(patch)}d", "network argument conv_op", convolution)
    stages = integer(arguments.get("n_stages"), *_NETWORK_NUMBERS["n_stages"], "network argument n_stages")
    strides = _per_axis(arguments.get("strides"), stages, len(patch), "strides")
    for side, *steps in zip(patch, *strides, strict=True):
        if side % math.prod(steps):
            raise UnsupportedModelError(f"patch size {patch} is not divisible by the strides of the network")
    weights = _weights(arguments, stages, len(patch), channels)
    if weights > MAX_WEIGHTS:
        raise UnsupportedModelError(f"the network has more than {weights:.1e} weights (at most {MAX_WEIGHTS:.0e})")


def _weights(arguments: Json, stages: int, axes: int, channels: int) -> float:
    """Return a lower bound of the number of weights in the encoder."""
    features = _per_stage(arguments.get("features_per_stage"), stages, "features_per_stage")
    kernels = _per_axis(arguments.get("kernel_sizes"), stages, axes, "kernel_sizes")
    blocks = arguments.get("n_conv_per_stage", arguments.get("n_blocks_per_stage"))
    repeats = _per_stage(blocks, stages, "layers per stage")
    total, before = 0.0, channels
    for count, kernel, repeat in zip(features, kernels, repeats, strict=True):
        total += math.prod(kernel) * count * (before + max(repeat - 1, 0) * count)
        before = count
    return total


def _per_stage(value: object, stages: int, what: str) -> list[int]:
    values = list(value) if isinstance(value, (list, tuple)) else [value] * stages
    if len(values) != stages:
        raise UnsupportedModelError(f"network argument {what} has {len(values)} values for {stages} stages")
    return [integer(each, 0, 8192, f"network argument {what}") for each in values]


def _per_axis(value: object, stages: int, axes: int, what: str) -> list[list[int]]:
    """Return a number for each axis of each stage; the plans may give one for all axes, or for all."""
    values = list(value) if isinstance(value, (list, tuple)) else [value] * stages
    rows = [list(each) if isinstance(each, (list, tuple)) else [each] * axes for each in values]
    if len(rows) != stages or any(len(row) != axes for row in rows):
        raise UnsupportedModelError(f"network argument {what} does not fit {stages} stages of {axes} axes")
    return [[integer(each, 0, 8192, f"network argument {what}") for each in row] for row in rows]


def _flat(value: object) -> list[object]:
    if not isinstance(value, (list, tuple)):
        return [value]
    return [each for part in value for each in _flat(part)]


def _list(value: object, what: str) -> list[object]:
    if not isinstance(value, (list, tuple)) or len(value) > 3:
        raise UnsupportedModelError(f"{what} is not a list of up to three numbers")
    return list(value)


def _require_options(options: object, what: str) -> None:
    """Refuse options of a layer that are neither flags nor numbers, such as the device of its weights."""
    _require(options is None or isinstance(options, dict), what, options)
    for key, value in options.items() if isinstance(options, dict) else ():
        if not isinstance(value, bool):
            number(value, -_MAX_INTENSITY, _MAX_INTENSITY, f"{what}: {key!s:.40}")


def _require(is_valid: bool, what: str, value: object) -> None:
    if not is_valid:
        raise UnsupportedModelError(f"{what} is {value!r:.40}, which is not supported")
