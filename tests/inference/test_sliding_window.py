from __future__ import annotations

import pytest
import torch
from acvl_utils.cropping_and_padding.padding import pad_nd_image
from nnunetv2.inference.sliding_window_prediction import compute_gaussian

from cspine.core.errors import InferenceError, OutOfMemoryError
from cspine.inference.engine import choose_engine
from cspine.inference.sliding_window import Window, importance, padded_to, predict_logits, tiles_of
from cspine.models.network import build_network
from cspine.models.plans import read_plan
from tests.builders.nnunet_results import TinyModel


def network_of(model: TinyModel) -> torch.nn.Module:
    return build_network(read_plan(model.plans(), model.dataset(), model.configuration).architecture)


@pytest.mark.parametrize("shape", [(5, 30, 19), (16, 24, 20), (40, 3, 50)])
@pytest.mark.parametrize("patch", [(16, 24, 20), (24, 20)])
def test_padding_is_that_of_nnunet(shape, patch):
    image = torch.rand(shape)
    expected, inside = pad_nd_image(image[None], patch, "constant", {"value": 0}, True)
    padded, mine = padded_to(image[None], patch)
    assert torch.equal(padded, expected)
    assert torch.equal(padded[0][mine], image)
    assert mine == tuple(inside[1:])


def test_weights_are_those_of_nnunet_in_its_precision():
    stock = compute_gaussian((16, 24, 20), 1 / 8, 10, device=torch.device("cpu"))
    assert stock.dtype == torch.float16
    assert torch.equal(importance((16, 24, 20)), stock.float())
    assert importance((16, 24, 20)).min() > 0


def test_tiles_cover_the_image_and_end_at_its_edge():
    tiles = tiles_of((37, 61, 20), Window((16, 24, 20), 0.5, ()))
    seen = torch.zeros((37, 61, 20))
    for tile in tiles:
        seen[tile] += 1
    assert seen.min() >= 1
    assert max(tile[0].stop for tile in tiles) == 37
    assert len(tiles_of((9, 61, 20), Window((24, 20), 0.5, ()))) == 9 * 5


def test_a_network_that_gives_nonsense_is_an_error_not_a_result():
    model = TinyModel()
    weights = model.weights("0")
    for name in [name for name in weights if name.endswith("seg_layers.1.bias")]:
        weights[name] = torch.full_like(weights[name], 1e38)
    image = torch.full((1, 16, 24, 20), torch.inf)
    with pytest.raises(InferenceError, match="finite"):
        predict_logits(
            network_of(model), [lambda: weights], image, Window((16, 24, 20), 0.5, ()), choose_engine("cpu"), print
        )


def test_memory_that_runs_out_is_said_so():
    class Hungry(torch.nn.Module):
        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    model = TinyModel()
    network = network_of(model)
    network.forward = Hungry().forward
    with pytest.raises(OutOfMemoryError):
        predict_logits(
            network,
            [lambda: model.weights("0")],
            torch.zeros((1, 16, 24, 20)),
            Window((16, 24, 20), 0.5, ()),
            choose_engine("cpu"),
            print,
        )
