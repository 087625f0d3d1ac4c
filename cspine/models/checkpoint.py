"""Read checkpoints from outside with torch's restricted unpickler, which never executes their content."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cspine.core.errors import ModelError, UnsafeCheckpointError, UnsupportedModelError
from cspine.models.network import StateDict
from cspine.models.plans import Json

# nnU-Net stores metrics as numpy scalars. numpy 2.0 renamed `core` to `_core`: both names denote one function.
_SCALAR = np._core.multiarray.scalar  # type: ignore[attr-defined]
_NUMBERS = (np.float16, np.float32, np.float64, np.int8, np.int16, np.int32, np.int64, np.uint8, np.bool_)
_ALLOWED: list[Any] = [
    (_SCALAR, "numpy._core.multiarray.scalar"),
    (_SCALAR, "numpy.core.multiarray.scalar"),
    np.dtype,
    *_NUMBERS,
    *(type(np.dtype(number)) for number in _NUMBERS),
]
#: Keys by which checkpoints of other programs are known, the most specific first.
_OTHERS = {
    "plot_stuff": "nnU-Net version 1",
    "pytorch-lightning_version": "PyTorch Lightning",
    "state_dict": "another program, which names its weights state_dict",
    "model_state_dict": "another program, which names its weights model_state_dict",
    "optimizer_state": "an optimizer, without a network",
    "optimizer": "an optimizer, without a network",
    "param_groups": "an optimizer, without a network",
}
_REFUSED_NAME = re.compile(r"(?:GLOBAL|global:?|function|class) ([\w.]+)")


@dataclass(frozen=True)
class Checkpoint:
    """The content of an nnU-Net checkpoint.

    Parameters
    ----------
    weights : mapping
        State dict of the network; empty for a checkpoint without one (MONAI bundle).
    trainer : str
        Name of the trainer's class.
    configuration : str
        For example ``"3d_fullres"``.
    mirror_axes : tuple of int
        Axes that test-time mirroring may reverse.
    plans, dataset : mapping
        Content of the `plans.json` and `dataset.json` of the training; empty if the checkpoint was stripped of them.
    """

    weights: StateDict
    trainer: str
    configuration: str
    mirror_axes: tuple[int, ...]
    plans: Json = field(default_factory=dict)
    dataset: Json = field(default_factory=dict)


def load_pickle(path: Path) -> Mapping[str, Any]:
    """Return the content of a file made by `torch.save`: tensors, plain values and numpy scalars, nothing else.

    Parameters
    ----------
    path : Path
        The file; its content is never executed.

    Raises
    ------
    UnsafeCheckpointError
        If it contains anything else.
    ModelError
        If it cannot be read or does not contain a dictionary.
    """
    if path.exists() and not path.is_file():
        raise ModelError(f"{path.name} is not a file")
    try:
        with torch.serialization.safe_globals(_ALLOWED):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        name = _REFUSED_NAME.search(str(error))
        what = f"{name[1]}, which is not a tensor or a plain value" if name else "more than tensors and plain values"
        raise UnsafeCheckpointError(f"{path.name} contains {what}; it was not executed") from error
    except (OSError, EOFError) as error:
        raise ModelError(f"{path.name} cannot be read: {type(error).__name__}") from error
    except Exception as error:  # whatever a damaged archive makes torch raise
        raise UnsafeCheckpointError(
            f"{path.name} is damaged or was not made by torch.save ({type(error).__name__})"
        ) from error
    if not isinstance(content, dict):
        raise UnsupportedModelError(f"{path.name} is not a checkpoint of nnU-Net v2")
    return content


def load_checkpoint(path: Path) -> Checkpoint:
    """Return a checkpoint of nnU-Net v2 (`checkpoint_final.pth`, or `nnunet_checkpoint.pth` of a MONAI bundle).

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    UnsafeCheckpointError, ModelError
        As `load_pickle`.
    UnsupportedModelError
        If it lacks entries that nnU-Net v2 writes.
    """
    content = load_pickle(path)
    try:
        given = content["init_args"]
        trainer, configuration = content["trainer_name"], given["configuration"]
        plans, dataset = (dict(given.get(name) or {}) for name in ("plans", "dataset_json"))
        axes = content.get("inference_allowed_mirroring_axes")
        mirror_axes = tuple(int(axis) for axis in axes or ())
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise UnsupportedModelError(f"{path.name} is not a checkpoint of nnU-Net v2: {_reason(content)}") from error
    if not isinstance(trainer, str) or not isinstance(configuration, str):
        raise UnsupportedModelError(f"{path.name}: trainer and configuration are not names")
    weights = content.get("network_weights", {})
    checked = check_weights(weights, path.name) if weights else {}
    return Checkpoint(checked, trainer, configuration, mirror_axes, plans, dataset)


def _reason(content: Mapping[str, Any]) -> str:
    """Return what a checkpoint is that lacks entries of nnU-Net v2."""
    if "network_weights" not in content:
        for key, program in _OTHERS.items():
            if key in content:
                return f"it is of {program}"
    if content and all(isinstance(value, torch.Tensor) for value in content.values()):
        return "it has weights alone, without trainer_name and init_args"
    return "it lacks trainer_name, init_args or configuration"


def check_weights(weights: object, file_name: str) -> StateDict:
    """Return a state dict after checking that it maps names to tensors.

    Parameters
    ----------
    weights : object
        What a checkpoint has as its weights.
    file_name : str
        What messages call the file.

    Raises
    ------
    UnsupportedModelError
        If it does not.
    """
    if not isinstance(weights, Mapping) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in weights.items()
    ):
        raise UnsupportedModelError(f"{file_name} does not map names to tensors")
    return weights
