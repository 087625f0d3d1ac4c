from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from cspine.core.errors import UnsupportedModelError
from cspine.models.network import build_network
from cspine.models.package_writer import write_package
from cspine.models.plans import RESAMPLING, Resampling, read_plan
from tests.builders.nnunet_results import TinyModel
from tests.builders.raises import raises_code

CONFIGURATION = "3d_fullres"


def read(model: TinyModel, *, changes: dict[str, Any] | None = None, **top: Any):
    plans = {**model.plans(), **top}
    plans["configurations"][CONFIGURATION].update(changes or {})
    return read_plan(plans, model.dataset(), CONFIGURATION, model.trainer)


@pytest.mark.parametrize("network", ["PlainConvUNet", "ResidualEncoderUNet", "ResidualUNet"])
def test_every_unet_of_the_plans_is_built(network):
    plan = read(TinyModel(network=network))
    assert type(build_network(plan.architecture)).__name__ == network


def test_a_configuration_may_inherit():
    model = TinyModel()
    plans = model.plans()
    plans["configurations"]["child"] = {"inherits_from": CONFIGURATION, "patch_size": [8, 8, 8]}
    plan = read_plan(plans, model.dataset(), "child")
    assert (plan.patch_size, plan.spacing_mm) == ((8, 8, 8), (2.0, 2.0, 2.0))


def test_plans_of_older_nnunet_versions_are_understood():
    model = TinyModel()
    plans = model.plans()
    configuration = plans["configurations"][CONFIGURATION]
    del configuration["architecture"]
    configuration.update(
        UNet_class_name="PlainConvUNet", UNet_base_num_features=4, unet_max_num_features=8,
        n_conv_per_stage_encoder=[1, 1], n_conv_per_stage_decoder=[1], num_pool_per_axis=[1, 1, 1],
        pool_op_kernel_sizes=[[1, 1, 1], [2, 2, 2]], conv_kernel_sizes=[[3, 3, 3], [3, 3, 3]],
    )  # fmt: skip
    plan = read_plan(plans, model.dataset(), CONFIGURATION)
    assert build_network(plan.architecture)


def test_an_ignore_label_has_no_output():
    plan = read(TinyModel(labels={"background": 0, "C1": 1, "ignore": 2}))
    assert (plan.architecture.classes, plan.label_names) == (2, {1: "C1"})


def test_arguments_of_another_machine_are_omitted():
    plan = read(TinyModel(), changes={"resampling_fn_data_kwargs": {"device": "cuda", "num_threads": 99, "order": 3}})
    assert plan.resample_data.arguments == {"order": 3}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"previous_stage": "3d_lowres", "resampling_fn_seg": "deepcopy"}, "deepcopy"),
        ({"preprocessor_name": "os"}, "'os'"),
        ({"resampling_fn_data": "deepcopy"}, "deepcopy"),
        ({"resampling_fn_probabilities": "no_resampling_hack"}, "no_resampling_hack"),
        ({"resampling_fn_probabilities_kwargs": {"is_seg": True}}, "resampling_fn_probabilities"),
        ({"normalization_schemes": ["RGBTo01Normalization"]}, "RGBTo01Normalization"),
        ({"normalization_schemes": ["CTNormalization"] * 2}, "2 channels"),
        ({"patch_size": [8]}, "(8,)"),
        ({"spacing": None}, "spacing"),
    ],
)
def test_what_is_not_run_is_refused_by_name(changes, reason):
    with raises_code(UnsupportedModelError, reason):
        read(TinyModel(), changes=changes)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("network_class_name", "os.system"),
        ("network_class_name", "dynamic_network_architectures.architectures.unet.test_submodules_loadable"),
        ("network_class_name", "dynamic_network_architectures.architectures.primus.Primus"),
        ("arch_kwargs.conv_op", "subprocess.Popen"),
        ("arch_kwargs.nonlin", "torch.nn.functional.relu"),
        ("arch_kwargs.norm_op", "torch.nn.os.system"),
        ("arch_kwargs.strides", "not a list"),
        ("arch_kwargs.n_stages", 2),
    ],
)
def test_no_name_in_the_plans_decides_what_is_executed(key, value):
    model = TinyModel()
    plans = model.plans()
    node: Any = plans["configurations"][CONFIGURATION]["architecture"]
    *path, last = key.split(".")
    for part in path:
        node = node[part]
    node[last] = value
    with pytest.raises(UnsupportedModelError):
        build_network(read_plan(plans, model.dataset(), CONFIGURATION).architecture)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ({"background": 0, "spine": [1, 2], "C1": [1]}, "'spine'"),
        ({"background": 0, "C1": 1, "C2": 3}, "dataset.json"),
        ({"C1": 1}, "background"),
        ({"background": 0}, "background"),
    ],
)
def test_labels_that_are_not_one_a_voxel_are_refused(labels, reason):
    with raises_code(UnsupportedModelError, reason):
        read(TinyModel(labels=labels))


def test_other_faults_of_the_plans_are_refused():
    model = TinyModel()
    for top in ({"label_manager": "Popen"}, {"transpose_backward": [2, 1, 0]}, {"transpose_forward": [0, 0, 1]}):
        with pytest.raises(UnsupportedModelError):
            read(model, **top)
    with raises_code(UnsupportedModelError, "'2d'"):
        read_plan(model.plans(), model.dataset(), "2d")
    with raises_code(UnsupportedModelError, "nnUNetTrainerBN"):
        read(TinyModel(trainer="nnUNetTrainerBN"))
    with raises_code(UnsupportedModelError, 2):
        read_plan(model.plans(), {**model.dataset(), "channel_names": {"0": "CT", "1": "PET"}}, CONFIGURATION)


@pytest.mark.parametrize("name", RESAMPLING)
def test_arguments_of_a_resampling_are_those_of_nnunets_function(name):
    _, arguments = RESAMPLING[name]
    of_nnunet = set(inspect.signature(Resampling(name).function).parameters)
    machine = {"num_threads", "device"}
    assert set(arguments) == of_nnunet - machine - {"data", "new_shape", "current_spacing", "new_spacing"}


def test_inheritance_is_that_of_nnunet():
    plans = TinyModel().plans()
    plans["configurations"] |= {
        "child": {"inherits_from": CONFIGURATION, "patch_size": [8, 8, 8], "spacing": [3.0, 3.0, 3.0]},
        "grandchild": {"inherits_from": "child", "spacing": [4.0, 4.0, 4.0]},
    }
    stock = PlansManager(plans).get_configuration("grandchild")
    mine = read_plan(plans, TinyModel().dataset(), "grandchild")
    assert mine.patch_size == tuple(stock.patch_size) == (8, 8, 8)
    assert mine.spacing_mm == tuple(stock.spacing) == (4.0, 4.0, 4.0)


def test_a_configuration_that_inherits_from_itself_is_refused():
    plans = TinyModel().plans()
    plans["configurations"]["child"] = {"inherits_from": "grandchild"}
    plans["configurations"]["grandchild"] = {"inherits_from": "child"}
    with raises_code(UnsupportedModelError, "'child'"):
        read_plan(plans, TinyModel().dataset(), "child")


def test_usual_plans_and_weights_are_read_without_torch(tmp_path):
    TinyModel().package(tmp_path / "tiny")
    program = (
        "import sys; from pathlib import Path; from cspine.models.package import load_package;"
        f"load_package(Path({str(tmp_path / 'tiny')!r})).stages[0].arrays('0');"
        "print([name for name in ('torch', 'nnunetv2', 'skimage', 'pandas') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("half", [False, True])
def test_weights_as_arrays_are_those_of_torch(tmp_path, half):
    model = TinyModel()
    stage = write_package(tmp_path / "tiny", model.manifest("tiny"), {"fine": model.content(half=half)}).stages[0]
    arrays, tensors = stage.arrays("0"), stage.weights("0")
    assert arrays.keys() == tensors.keys()
    assert all(np.array_equal(arrays[name], tensors[name].numpy()) for name in tensors)
