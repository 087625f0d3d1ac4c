"""Smaller patches, networks and batches in nnU-Net's plans."""

import copy

import pytest
import torch
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

from cspine.study.training.plans import changed_plans
from cspine.study.training.settings import PlanChanges

_NETWORK = {
    "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
    "arch_kwargs": {
        "n_stages": 5,
        "features_per_stage": [32, 64, 128, 256, 320],
        "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": [[3, 3, 3]] * 5,
        "strides": [[1, 1, 1], *[[2, 2, 2]] * 4],
        "n_conv_per_stage": [2] * 5,
        "n_conv_per_stage_decoder": [2] * 4,
        "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-05, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    },
    "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
}


def plans():
    return {
        "transpose_forward": [2, 0, 1],
        "configurations": {
            "3d_fullres": {
                "batch_size": 2,
                "patch_size": [64, 96, 80],
                "spacing": [1.0, 1.0, 1.0],
                "architecture": copy.deepcopy(_NETWORK),
            },
            "3d_cascade_fullres": {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"},
        },
    }


def test_nothing_changes_where_nothing_is_asked_for():
    assert changed_plans(plans(), PlanChanges()) == plans()


def test_the_given_plans_stay_as_they_are():
    given = plans()
    changed_plans(given, PlanChanges(patch_size=(16, 16, 16), features=4))
    assert given == plans()


@pytest.mark.parametrize(("patch", "stages"), [((16, 16, 16), 3), ((40, 32, 24), 4), ((128, 128, 128), 6)])
def test_a_patch_has_a_network_that_fits_it(patch, stages):
    changed = changed_plans(plans(), PlanChanges(patch_size=patch, features=2, batch_size=1))
    found = changed["configurations"]["3d_fullres"]
    network = found["architecture"]["arch_kwargs"]
    assert (found["batch_size"], network["n_stages"], network["features_per_stage"][0]) == (1, stages, 2)
    for name in ("features_per_stage", "strides", "kernel_sizes", "n_conv_per_stage"):
        assert len(network[name]) == stages
    assert len(network["n_conv_per_stage_decoder"]) == stages - 1
    model = get_network_from_plans(
        found["architecture"]["network_class_name"],
        network,
        found["architecture"]["_kw_requires_import"],
        1,
        9,
        deep_supervision=False,
    )
    if max(patch) < 100:
        assert model(torch.zeros(1, 1, *found["patch_size"])).shape == (1, 9, *found["patch_size"])


def test_the_patch_is_reoriented_as_the_images_are():
    """The option is in z, y, x of the image; the plans are in the order of nnU-Net's array."""
    changed = changed_plans(plans(), PlanChanges(patch_size=(16, 32, 64)))
    assert changed["configurations"]["3d_fullres"]["patch_size"] == [64, 16, 32]


def test_a_flat_configuration_uses_the_last_two_axes():
    flat = plans()
    flat["transpose_forward"] = [0, 1, 2]
    flat["configurations"]["2d"] = {**flat["configurations"]["3d_fullres"], "patch_size": [96, 80], "spacing": [1, 1]}
    changed = changed_plans(flat, PlanChanges(patch_size=(16, 32, 64)))
    assert changed["configurations"]["2d"]["patch_size"] == [32, 64]


def test_features_shrink_in_proportion():
    changed = changed_plans(plans(), PlanChanges(features=8))
    features = changed["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]["features_per_stage"]
    assert features == [8, 16, 32, 64, 80]


def test_a_configuration_that_inherits_stays_as_it_is():
    changed = changed_plans(plans(), PlanChanges(batch_size=7, features=4, patch_size=(16, 16, 16)))
    assert changed["configurations"]["3d_cascade_fullres"] == plans()["configurations"]["3d_cascade_fullres"]
