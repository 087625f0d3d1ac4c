from __future__ import annotations

import copy
from typing import Any

import pytest

from cspine.core.errors import UnsupportedModelError
from cspine.models.network import build_network
from cspine.models.plans import read_plan
from tests.builders.nnunet_results import TinyModel

MODEL = TinyModel()
NAME = MODEL.configuration
ARGUMENTS = f"configurations.{NAME}.architecture.arch_kwargs"
INTENSITIES = "foreground_intensity_properties_per_channel.0"


def changed(path: str, value: object) -> dict[str, Any]:
    plans = copy.deepcopy(MODEL.plans())
    node: Any = plans
    *parents, last = path.split(".")
    for part in parents:
        node = node[part]
    node[last] = value
    return plans


@pytest.mark.parametrize(
    ("path", "value"),
    [
        *((f"configurations.{NAME}.patch_size", value) for value in (
            [1, 24, 20], [16, 24], [16, 24, 18], [16, 24, 2**40], [2048, 2048, 2048], [0, 0, 0], [-16, 24, 20],
            [16.5, 24, 20], ["16", 24, 20], [True, 24, 20], 16, [[16], 24, 20], [16] * 1000, None, {"0": 16},
        )),
        *((f"configurations.{NAME}.spacing", value) for value in (
            [1e-300, 1, 1], [1e9, 1, 1], [0, 1, 1], [-1, 1, 1], ["2", 2, 2], [2, 2], [float("nan"), 1, 1], 2,
        )),
        *(("transpose_forward", value) for value in ([0.5, 1, 2], ["0", 1, 2], [0, 1], 5, [False, 1, 2])),
        *((f"{ARGUMENTS}.n_conv_per_stage", value) for value in (
            [10**7, 1, 1], 10**7, [1, 1], ["1", 1, 1], [-1, 1, 1], [1.5, 1, 1], [], {"a": 1},
        )),
        *((f"{ARGUMENTS}.n_conv_per_stage_decoder", value) for value in ([10**7, 1], 10**9, ["a", 1])),
        *((f"{ARGUMENTS}.features_per_stage", value) for value in (
            [4, 8, 10**9], 10**9, [0, 8, 8], [-4, 8, 8], [8192, 8192, 8192], [4] * 10_000, [[4], 8, 8], None,
        )),
        *((f"{ARGUMENTS}.n_stages", value) for value in (10**7, 0, -1, 3.5, "3", None, [3])),
        *((f"{ARGUMENTS}.kernel_sizes", value) for value in ([[10**4] * 3] * 3, 10**4, [[3, 3]] * 3, [[0, 3, 3]] * 3)),
        *((f"{ARGUMENTS}.strides", value) for value in ([[10**6] * 3] * 3, [[0, 1, 1]] * 3, [[1] * 3] * 2)),
        (f"{ARGUMENTS}.conv_bias", "yes"),
        (f"{ARGUMENTS}.conv_op", "torch.nn.Conv2d"),
        (f"{ARGUMENTS}.conv_op", "torch.nn.Transformer"),
        (f"{ARGUMENTS}.norm_op_kwargs", {"eps": 1e300}),
        (f"{ARGUMENTS}.norm_op_kwargs", {"device": "meta"}),
        (f"{ARGUMENTS}.nonlin_kwargs", [1]),
        *((f"configurations.{NAME}.resampling_fn_data_kwargs", {**MODEL.data_arguments, **more}) for more in (
            {"order": 10**9}, {"order": -1}, {"order": 3.5}, {"order": True}, {"order_z": 99}, {"unknown": 1},
            {"force_separate_z": "yes"}, {"separate_z_anisotropy_threshold": -3}, {"data": 1}, {"new_shape": [1]},
        )),
        (f"configurations.{NAME}.resampling_fn_probabilities_kwargs", {"order": 10**9}),
        *((f"{INTENSITIES}.mean", value) for value in (1e300, "0", None, float("nan"))),
        (f"{INTENSITIES}.std", 0.0),
        (f"{INTENSITIES}.percentile_00_5", 5000.0),
        (INTENSITIES, {"mean": 1.0}),
        (f"configurations.{NAME}.inherits_from", NAME),
    ],
)  # fmt: skip
def test_values_that_no_network_has_are_refused_before_anything_is_built(path, value):
    with pytest.raises(UnsupportedModelError):
        build_network(read_plan(changed(path, value), MODEL.dataset(), NAME).architecture)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (f"configurations.{NAME}.patch_size", [16.0, 24, 20]),
        (f"{ARGUMENTS}.features_per_stage", 4),
        (f"{ARGUMENTS}.n_conv_per_stage", 1),
        (f"{ARGUMENTS}.kernel_sizes", 3),
        (f"{ARGUMENTS}.norm_op_kwargs", None),
        (f"configurations.{NAME}.resampling_fn_data_kwargs", {"order": 0, "separate_z_anisotropy_threshold": 3}),
        (f"{INTENSITIES}.number_of_voxels", 10**12),
    ],
)
def test_values_that_nnunet_accepts_are_accepted(path, value):
    assert build_network(read_plan(changed(path, value), MODEL.dataset(), NAME).architecture)


@pytest.mark.parametrize("number", [1.5, "1", True, None, 10**9, -1, [], [1, 2], {}])
def test_a_label_is_one_whole_number(number):
    dataset = {**MODEL.dataset(), "labels": {"background": 0, "C1": number}}
    with pytest.raises(UnsupportedModelError):
        read_plan(MODEL.plans(), dataset, NAME)


@pytest.mark.parametrize(
    "dataset", [{}, {"labels": 5}, {"labels": {}, "channel_names": 3}, {"channel_names": {"0": 1}}]
)
def test_a_dataset_of_another_form_is_refused(dataset):
    with pytest.raises(UnsupportedModelError):
        read_plan(MODEL.plans(), dataset, NAME)


@pytest.mark.parametrize("key", ["configurations", "transpose_forward", "foreground_intensity_properties_per_channel"])
@pytest.mark.parametrize("value", [None, 5, "text", [], {}, [[]], {"a": None}])
def test_plans_of_another_form_are_refused(key, value):
    with pytest.raises(UnsupportedModelError):
        read_plan(changed(key, value), MODEL.dataset(), NAME)
