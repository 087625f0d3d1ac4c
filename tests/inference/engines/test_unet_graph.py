from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cspine.core.errors import UnsupportedModelError
from cspine.inference.engines.openvino_engine import OpenVinoEngine
from cspine.inference.engines.unet_graph import unet_graph, unsupported_layer
from cspine.models.network import build_network, own_weights
from cspine.models.plans import NetworkArchitecture, read_plan
from tests.builders.nnunet_results import TinyModel
from tests.builders.raises import raises_code

BOTTLENECK = {"block": "dynamic_network_architectures.building_blocks.residual.BottleneckD", "bottleneck_channels": 4}
#: What is changed of a plan's arguments, by the network.
NETWORKS = {
    "plain": ("PlainConvUNet", {}),
    "no bias": ("PlainConvUNet", {"conv_bias": False}),
    "several convolutions": ("PlainConvUNet", {"n_conv_per_stage": [2, 3, 1], "n_conv_per_stage_decoder": [2, 1]}),
    "anisotropic": (
        "PlainConvUNet",
        {"kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3]], "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]]},
    ),
    "batch norm": ("PlainConvUNet", {"norm_op": "torch.nn.BatchNorm3d", "norm_op_kwargs": {"eps": 1e-3}}),
    "instance norm alone": ("PlainConvUNet", {"norm_op_kwargs": {}}),
    "no norm": ("PlainConvUNet", {"norm_op": None, "norm_op_kwargs": None}),
    "ReLU": ("PlainConvUNet", {"nonlin": "torch.nn.ReLU"}),
    "steep": ("PlainConvUNet", {"nonlin_kwargs": {"negative_slope": 0.2}}),
    "linear": ("PlainConvUNet", {"nonlin": None, "nonlin_kwargs": None}),
    "nonlinearity first": ("PlainConvUNet", {"nonlin_first": True}),
    "dropout": ("PlainConvUNet", {"dropout_op": "torch.nn.Dropout3d", "dropout_op_kwargs": {"p": 0.5}}),
    "residual": ("ResidualEncoderUNet", {"n_blocks_per_stage": [1, 3, 2]}),
    "residual, stem": ("ResidualEncoderUNet", {"stem_channels": 3}),
    "residual, bottleneck": ("ResidualEncoderUNet", {**BOTTLENECK, "n_blocks_per_stage": [1, 2, 1]}),
}


def architecture_of(network: str, changes) -> NetworkArchitecture:
    model = TinyModel(network=network)
    plans = model.plans()
    architecture = plans["configurations"]["3d_fullres"]["architecture"]
    architecture["arch_kwargs"].update(changes)
    if "block" in changes:
        architecture["_kw_requires_import"].append("block")
    return read_plan(plans, model.dataset(), "3d_fullres").architecture


def random_network(architecture: NetworkArchitecture) -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_network(architecture)
        for name, tensor in network.state_dict(keep_vars=True).items():
            if tensor.is_floating_point():
                torch.nn.init.uniform_(tensor, *((0.5, 1.5) if "running_var" in name else (-0.3, 0.3)))
    return network


def arrays_of(network: torch.nn.Module) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in own_weights(network, network.state_dict()).items()}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_graph_gives_the_logits_of_torch(name):
    architecture = architecture_of(*NETWORKS[name])
    assert unsupported_layer(architecture) is None
    network = random_network(architecture)
    patch = np.random.default_rng(0).standard_normal((1, 16, 24, 20), dtype=np.float32)
    graph = unet_graph(architecture, arrays_of(network), (16, 24, 20))
    logits = OpenVinoEngine().compiled(graph)(patch)
    with torch.inference_mode():
        expected = network(torch.from_numpy(patch)[None])[0].numpy()
    assert logits.shape == expected.shape == (4, 16, 24, 20)
    assert np.abs(logits - expected).max() <= 1e-4 * np.abs(expected).max()


def test_a_network_of_slices_is_a_graph_too():
    model = TinyModel(patch=(24, 20), spacing=(2.0, 2.0), configuration="2d")
    architecture = read_plan(model.plans(), model.dataset(), "2d").architecture
    network = random_network(architecture)
    patch = np.random.default_rng(0).standard_normal((1, 24, 20), dtype=np.float32)
    logits = OpenVinoEngine().compiled(unet_graph(architecture, arrays_of(network), (24, 20)))(patch)
    with torch.inference_mode():
        expected = network(torch.from_numpy(patch)[None])[0].numpy()
    assert np.abs(logits - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("network", "changes"),
    [
        ("ResidualUNet", {}),
        ("PlainConvUNet", {"nonlin": "torch.nn.GELU", "nonlin_kwargs": None}),
        ("PlainConvUNet", {"nonlin_kwargs": {"beta": 1.0}}),
        ("PlainConvUNet", {"norm_op": "torch.nn.GroupNorm", "norm_op_kwargs": {}}),
        ("PlainConvUNet", {"norm_op_kwargs": {"affine": True, "track_running_stats": True}}),
    ],
)
def test_what_is_not_built_is_said_before_any_work(network, changes):
    assert unsupported_layer(architecture_of(network, changes))


def test_weights_that_do_not_match_are_refused_as_by_torch():
    architecture = architecture_of("PlainConvUNet", {})
    arrays = arrays_of(random_network(architecture))
    name = "decoder.stages.0.convs.0.conv.weight"
    for changed, reason in (
        ({key: array for key, array in arrays.items() if key != name}, "lack"),
        ({**arrays, "decoder.extra": np.zeros(3)}, "decoder.extra"),
        ({**arrays, name: arrays[name][:1]}, "shape"),
        ({**arrays, name: np.full_like(arrays[name], np.inf)}, "finite"),
    ):
        with raises_code(UnsupportedModelError, reason):
            unet_graph(architecture, changed, (16, 24, 20))


def test_arguments_that_describe_no_network_are_refused():
    architecture = architecture_of("PlainConvUNet", {})
    broken = replace(architecture, arguments={**architecture.arguments, "n_conv_per_stage": [1]})
    with raises_code(UnsupportedModelError, "n_conv_per_stage"):
        unet_graph(broken, {}, (16, 24, 20))
