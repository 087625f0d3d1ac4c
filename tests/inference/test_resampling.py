from __future__ import annotations

import numpy as np
import pytest
from nnunetv2.preprocessing.resampling.default_resampling import determine_do_sep_z_and_axis

from cspine.inference.intensity import Intensity
from cspine.inference.preprocess import nonzero_box
from cspine.inference.resample_image import resample_image
from cspine.inference.resampling import axis_matrices, separate_axis
from cspine.inference.restore import labels_by_blocks, labels_by_classes
from cspine.models.plans import Resampling
from tests.builders.nnunet_results import default_arguments

STOCK, TORCH = "resample_data_or_seg_to_shape", "resample_torch_fornnunet"
SHAPES = [
    ((20, 31, 28), (31, 20, 40)),
    ((20, 31, 28), (20, 31, 40)),
    ((9, 30, 30), (40, 17, 61)),
    ((3, 5, 4), (1, 2, 9)),
    ((1, 20, 20), (4, 9, 9)),
]
SPACINGS = {
    "alike": ((1.0, 1.0, 1.0), (1.5, 1.2, 0.8)),
    "thick before": ((6.0, 1.0, 1.0), (2.0, 1.5, 1.5)),
    "thick after": ((1.5, 1.0, 1.0), (1.5, 6.0, 1.0)),
    "two thick axes": ((6.0, 6.0, 1.0), (2.0, 2.0, 2.0)),
}
KINDS = {
    "cubic": Resampling(STOCK, default_arguments(3)),
    "linear": Resampling(STOCK, default_arguments(1)),
    "nearest": Resampling(STOCK, default_arguments(0)),
    "never separate": Resampling(STOCK, {"order": 3}),
    "always separate": Resampling(STOCK, {"order": 3, "order_z": 1, "force_separate_z": True}),
    "torch": Resampling(TORCH, {"is_seg": False}),
    "torch, nearest": Resampling(TORCH, {"is_seg": False, "aniso_axis_mode": "nearest"}),
}


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_matrices_equal_the_function_of_the_plans(kind, spacing, shapes):
    values = np.random.default_rng(0).normal(0, 1, shapes[0]).astype(np.float32)
    resampling = KINDS[kind]
    expected = np.asarray(
        resampling.function(values[None].copy(), shapes[1], *SPACINGS[spacing], **resampling.arguments)
    )[0]
    result = resample_image(values, Intensity(), resampling, shapes[1], SPACINGS[spacing])
    assert result.dtype == np.float32
    assert np.abs(result - expected).max() < 2e-5


def test_what_has_no_matrices_goes_through_the_function_itself():
    resampling = Resampling(TORCH, {"mode": "area", "force_separate_z": True})
    values = np.random.default_rng(0).normal(0, 1, (6, 20, 20)).astype(np.float32)
    spacings = SPACINGS["thick before"]
    assert axis_matrices(resampling, (values.shape, (9, 9, 9)), spacings) is None
    expected = resampling.function(values[None].copy(), (9, 9, 9), *spacings, **resampling.arguments)[0]
    result = resample_image(values, Intensity(), resampling, (9, 9, 9), spacings)
    assert np.allclose(result, expected)


@pytest.mark.parametrize("kind", ["linear", "torch", "nearest"])
@pytest.mark.parametrize("spacing", SPACINGS)
def test_labels_by_blocks_equal_labels_by_classes(kind, spacing):
    shape_in, shape_out = (12, 20, 30), (31, 70, 45)
    logits = np.random.default_rng(0).standard_normal((4, *shape_in), dtype=np.float32)
    logits[2, :, :8, :12] += 20
    matrices = axis_matrices(KINDS[kind], (shape_in, shape_out), SPACINGS[spacing])
    assert matrices.is_convex
    slow = labels_by_classes(logits, KINDS[kind], (shape_out, *SPACINGS[spacing]))
    assert np.mean(labels_by_blocks(logits, matrices) != slow) <= 1e-4


def test_cubic_weights_are_not_convex():
    assert not axis_matrices(KINDS["cubic"], ((9, 9, 9), (12, 12, 12)), SPACINGS["alike"]).is_convex


def test_the_first_of_equal_logits_wins_as_in_argmax():
    logits = np.zeros((3, 4, 4, 4), dtype=np.float32)
    logits[:, 2:] = np.array([0.0, 1.0, 1.0])[:, None, None, None]
    matrices = axis_matrices(KINDS["linear"], ((4, 4, 4), (8, 8, 8)), SPACINGS["alike"])
    assert set(np.unique(labels_by_blocks(logits, matrices))) == {0, 1}


def test_the_nonzero_box_is_tight():
    values = np.zeros((6, 7, 8), dtype=np.int16)
    values[2, 3, 4] = values[4, 3, 6] = -5
    assert nonzero_box(values) == (slice(2, 5), slice(3, 4), slice(4, 7))


@pytest.mark.parametrize("force", [None, False, True])
@pytest.mark.parametrize("spacing", SPACINGS)
def test_the_separate_axis_is_that_of_nnunet(force, spacing):
    separate, axis = determine_do_sep_z_and_axis(force, *SPACINGS[spacing])
    assert separate_axis(force, SPACINGS[spacing], 3.0) == (axis if separate else None)


@pytest.mark.parametrize("kind", KINDS)
def test_the_part_of_a_resampling_that_a_box_affects_gives_the_same_voxels(kind):
    values = np.zeros((20, 31, 28), dtype=np.float32)
    box = (slice(4, 9), slice(0, 20), slice(27, 28))
    values[box] = np.random.default_rng(0).normal(0, 1, (5, 20, 1))
    matrices = axis_matrices(KINDS[kind], (values.shape, (31, 20, 40)), SPACINGS["alike"])
    expected = resampled_by(matrices, values)
    part, inside, affected = matrices.restricted(box)
    elsewhere = np.ones(expected.shape, dtype=bool)
    elsewhere[affected] = False
    assert not expected[elsewhere].any()
    assert part.shape_in == values[inside].shape
    assert part.shape_out == expected[affected].shape
    assert np.abs(resampled_by(part, values[inside]) - expected[affected]).max() < 1e-6


def resampled_by(matrices, values):
    for axis, matrix in enumerate(matrices.matrices):
        if matrix is not None:
            values = np.moveaxis(np.tensordot(matrix, values, (1, axis)), 0, axis)
    return values
