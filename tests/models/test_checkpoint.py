from __future__ import annotations

import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from cspine.core.errors import ModelError, UnsafeCheckpointError, UnsupportedModelError
from cspine.models.checkpoint import load_checkpoint, load_pickle
from tests.builders.nnunet_results import TinyModel
from tests.builders.raises import raises_code


class Trap:
    """A pickle that makes a file when a careless reader loads it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_a_stock_checkpoint_is_read_with_its_numpy_scalars(tmp_path):
    model = TinyModel(mirror_axes=(1, 2))
    path = model.results(tmp_path) / "fold_0" / "checkpoint_final.pth"
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    checkpoint = load_checkpoint(path)
    assert (checkpoint.trainer, checkpoint.configuration) == ("nnUNetTrainer", "3d_fullres")
    assert checkpoint.mirror_axes == (1, 2)
    assert all(torch.equal(tensor, model.weights("0")[name]) for name, tensor in checkpoint.weights.items())


def test_the_scalar_of_numpy_1_is_allowed_as_well(tmp_path):
    path = tmp_path / "old.pth"
    torch.save({"best": np.float64(0.25)}, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    if b"numpy._core" in content:
        path.write_bytes(content.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"))
        assert b"cnumpy.core.multiarray" in path.read_bytes()
    assert load_pickle(path) == {"best": 0.25}


def test_no_mirroring_means_no_axes(tmp_path):
    path = TinyModel(mirror_axes=None).results(tmp_path) / "fold_0" / "checkpoint_final.pth"
    assert load_checkpoint(path).mirror_axes == ()


@pytest.mark.parametrize("format", ["zip", "legacy", "plain pickle"])
def test_a_malicious_pickle_is_refused_and_never_executed(tmp_path, format):
    made = tmp_path / "made"
    content = {**TinyModel().checkpoint("0"), "logging": Trap(made)}
    path = tmp_path / "checkpoint_final.pth"
    if format == "plain pickle":
        path.write_bytes(pickle.dumps({"network_weights": Trap(made)}))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=format == "zip")
    with raises_code(UnsafeCheckpointError, "checkpoint_final.pth"):
        load_checkpoint(path)
    assert not made.exists()


def test_the_trap_of_these_tests_works(tmp_path):
    pickle.loads(pickle.dumps(Trap(tmp_path / "made")))
    assert (tmp_path / "made").exists()


def test_a_damaged_file_is_refused_without_a_traceback(tmp_path):
    path = TinyModel().results(tmp_path) / "fold_0" / "checkpoint_final.pth"
    complete = path.read_bytes()
    kinds = {b"": ModelError, b"text": UnsafeCheckpointError, complete[: len(complete) // 2]: ModelError}
    for content, kind in kinds.items():
        path.write_bytes(content)
        with raises_code(kind, "checkpoint_final.pth"):
            load_checkpoint(path)
    with raises_code(ModelError, "absent.pth", "FileNotFoundError"):
        load_checkpoint(tmp_path / "absent.pth")


def test_a_zip_that_is_no_checkpoint_is_refused(tmp_path):
    path = tmp_path / "x.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "text")
    with raises_code(UnsafeCheckpointError, "x.pth"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    "content",
    [
        [1, 2],
        {},
        {"trainer_name": "T", "init_args": {}},
        {"trainer_name": 1, "init_args": {"configuration": "3d_fullres"}},
        {"trainer_name": "T", "init_args": {"configuration": "c"}, "inference_allowed_mirroring_axes": "x"},
        {"trainer_name": "T", "init_args": {"configuration": "c"}, "network_weights": OrderedDict(a=1)},
    ],
)
def test_what_is_no_checkpoint_of_nnunet_is_refused(tmp_path, content):
    path = tmp_path / "x.pth"
    torch.save(content, path)
    with pytest.raises(UnsupportedModelError):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({"optimizer_state": {}, "current_epoch": 3}, "optimizer"),
        ({"state": {}, "param_groups": []}, "optimizer"),
        ({"state_dict": {}, "plot_stuff": [], "epoch": 3}, "nnU-Net version 1"),
        ({"state_dict": {}, "pytorch-lightning_version": "2"}, "PyTorch Lightning"),
        ({"model_state_dict": {}}, "model_state_dict"),
        ({"conv.weight": torch.zeros(1)}, "weights alone"),
    ],
)
def test_a_checkpoint_of_another_program_is_refused_by_its_name(tmp_path, content, named):
    path = tmp_path / "x.pth"
    torch.save(content, path)
    with raises_code(UnsupportedModelError, named):
        load_checkpoint(path)


def test_a_pipe_is_refused_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.pth")
    with pytest.raises(ModelError):
        load_pickle(tmp_path / "x.pth")
