from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from acvl_utils.cropping_and_padding.padding import pad_nd_image
from nnunetv2.inference.sliding_window_prediction import compute_gaussian, compute_steps_for_sliding_window

from cspine.core.errors import InferenceError, OutOfMemoryError
from cspine.inference.engines.choose import choose_engine
from cspine.inference.sliding_window import Window, importance, padded_to, predict_logits, tiles_of
from tests.builders.raises import raises_code

WINDOW = Window((16, 24, 20), 0.5, ())
IMAGE = np.zeros((1, 16, 24, 20), dtype=np.float32)


@pytest.mark.parametrize("shape", [(5, 30, 19), (16, 24, 20), (40, 3, 50)])
@pytest.mark.parametrize("patch", [(16, 24, 20), (24, 20)])
def test_padding_is_that_of_nnunet(shape, patch):
    image = np.random.default_rng(0).random(shape, dtype=np.float32)
    expected, inside = pad_nd_image(image[None], patch, "constant", {"constant_values": 0}, True)
    padded, mine = padded_to(image[None], patch)
    assert np.array_equal(padded, expected)
    assert np.array_equal(padded[0][mine], image)
    assert mine == tuple(inside[1:])


def test_weights_are_those_of_nnunet_in_its_precision():
    for patch in ((16, 24, 20), (24, 20), (64, 80, 80)):
        stock = compute_gaussian(patch, 1 / 8, 10, device=torch.device("cpu"))
        assert stock.dtype == torch.float16
        assert np.array_equal(importance(patch), stock.float().numpy())
        assert importance(patch).min() > 0


@pytest.mark.parametrize("step_size", [0.1, 0.3, 0.5, 0.75, 1])
@pytest.mark.parametrize("shape", [(16, 24, 20), (17, 61, 233), (160, 25, 40)])
def test_tiles_are_those_of_nnunet(shape, step_size):
    steps = compute_steps_for_sliding_window(shape, (16, 24, 20), step_size)
    tiles = tiles_of(shape, Window((16, 24, 20), step_size, ()))
    assert [tuple(side.start for side in tile) for tile in tiles] == list(itertools.product(*steps))


def test_tiles_cover_the_image_and_end_at_its_edge():
    tiles = tiles_of((37, 61, 20), Window((16, 24, 20), 0.5, ()))
    seen = np.zeros((37, 61, 20))
    for tile in tiles:
        seen[tile] += 1
    assert seen.min() >= 1
    assert max(tile[0].stop for tile in tiles) == 37
    assert len(tiles_of((9, 61, 20), Window((24, 20), 0.5, ()))) == 9 * 5


def test_a_network_that_gives_nonsense_is_an_error_not_a_result():
    def nonsense(patch):
        logits = np.zeros((3, *patch.shape[1:]), dtype=np.float32)
        logits[1, 5] = np.nan
        return logits

    with raises_code(InferenceError):
        predict_logits([lambda: nonsense], IMAGE, WINDOW, choose_engine("cpu"), print)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory."), MemoryError(), RuntimeError("bad_alloc")]
)
def test_memory_that_runs_out_is_said_so(error):
    def hungry(patch):
        raise error

    with pytest.raises(OutOfMemoryError):
        predict_logits([lambda: hungry], IMAGE, WINDOW, choose_engine("cpu"), print)


def test_mirrored_patches_are_mirrored_back_before_they_are_averaged():
    image = np.random.default_rng(0).random((1, 20, 30, 24), dtype=np.float32)
    window = Window((16, 24, 20), 0.5, (0, 1, 2))
    seen = []

    def network(patch):
        seen.append(patch.copy())
        return np.stack([patch[0], 1 - patch[0]])

    logits = predict_logits([lambda: network], image, window, choose_engine("cpu"), lambda done, total: None)
    assert len(seen) == 8 * len(tiles_of((20, 30, 24), window))
    assert np.array_equal(seen[7], seen[0][:, ::-1, ::-1, ::-1])
    assert np.allclose(logits[0], image[0], atol=1e-5)
    assert np.allclose(logits.sum(0), 1, atol=1e-5)
