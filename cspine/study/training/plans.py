"""Changes to the plans that nnU-Net made: a smaller patch, network or batch than its planner chose for a GPU.

They go into the plans file itself, so that checkpoints, validation and the model package agree with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from nnunetv2.experiment_planning.experiment_planners.network_topology import get_pool_and_conv_props

from cspine.study.training.settings import PlanChanges

#: nnU-Net's planners do not let a feature map become narrower.
_MIN_EDGE = 4
_NO_LIMIT = 999_999
#: Arguments of the network that have one entry per stage, and those that have one less.
_PER_STAGE = ("n_conv_per_stage", "n_blocks_per_stage")
_PER_DECODER_STAGE = ("n_conv_per_stage_decoder",)


def changed_plans(plans: dict[str, Any], changes: PlanChanges) -> dict[str, Any]:
    """Return plans with other patches, features and batches; spacing and GPU memory are the planner's own.

    Parameters
    ----------
    plans : dict
        As nnU-Net's planner wrote them.
    changes : PlanChanges
        What is changed, in every configuration.
    """
    result = deepcopy(plans)
    for configuration in result["configurations"].values():
        if "architecture" not in configuration:
            continue  # it inherits from another one
        if changes.patch_size is not None:
            turned = [changes.patch_size[axis] for axis in result["transpose_forward"]]
            _change_patch(configuration, turned[-len(configuration["patch_size"]) :])
        if changes.features is not None:
            arguments = configuration["architecture"]["arch_kwargs"]
            first = arguments["features_per_stage"][0]
            arguments["features_per_stage"] = [
                max(2, round(n * changes.features / first)) for n in arguments["features_per_stage"]
            ]
        if changes.batch_size is not None:
            configuration["batch_size"] = changes.batch_size
    return result


def _change_patch(configuration: dict[str, Any], patch_size: Sequence[int]) -> None:
    """Set the patch, and the depth of the network that nnU-Net's own rule gives it."""
    _, strides, kernels, padded, _ = get_pool_and_conv_props(configuration["spacing"], patch_size, _MIN_EDGE, _NO_LIMIT)
    arguments = configuration["architecture"]["arch_kwargs"]
    stages = len(strides)
    features = arguments["features_per_stage"]
    first, most = features[0], max(features)
    arguments |= {
        "n_stages": stages,
        "strides": [list(stride) for stride in strides],
        "kernel_sizes": [list(kernel) for kernel in kernels],
        "features_per_stage": [min(first * 2**stage, max(most, 10 * first)) for stage in range(stages)],
    }
    for name in _PER_STAGE:
        if name in arguments:
            arguments[name] = _stretched(arguments[name], stages)
    for name in _PER_DECODER_STAGE:
        if name in arguments:
            arguments[name] = _stretched(arguments[name], stages - 1)
    configuration["patch_size"] = [int(n) for n in padded]


def _stretched(values: Sequence[int], length: int) -> list[int]:
    """Cut a list, or go on with its last value."""
    return [values[min(place, len(values) - 1)] for place in range(length)]
