"""Which engine runs a model: by the machine, by what the user wants, and by what the package was qualified for."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Sequence
from pathlib import Path

from cspine.core.errors import UnsupportedModelError, UsageError
from cspine.inference.engines.base import Engine
from cspine.inference.engines.cpu import has_amx
from cspine.inference.engines.openvino_runtime import has_openvino
from cspine.inference.settings import EngineName, Precision
from cspine.models.package import Stage

_log = logging.getLogger(__name__)

#: Device files of GPUs that torch's CUDA interface can use: NVIDIA, WSL, Jetson, AMD.
_GPU_FILES = ("nvidiactl", "nvidia0", "dxg", "nvhost-ctrl-gpu", "nvmap", "kfd")


def choose_engine(
    device: str,
    precision: Precision = "auto",
    engine: EngineName = "auto",
    stages: Sequence[Stage] = (),
    qualified: Collection[tuple[str, str]] = (),
) -> Engine:
    """Return the engine for a model on this machine.

    Parameters
    ----------
    device, precision, engine : str
        As in `InferenceSettings`.
    stages : sequence of Stage
        The networks that it will run; ``auto`` leaves OpenVINO out if it cannot build one of them.
    qualified : collection of (str, str)
        Engines and precisions that the package is qualified for: `auto` uses bfloat16 on a CPU with AMX if it is.

    Raises
    ------
    DeviceError
        If the device does not exist.
    UsageError
        If the engine is not installed, or does not run on the device.
    UnsupportedModelError
        If OpenVINO is required and cannot build a network of the model.
    """
    reduced = precision == "auto" and has_amx() and ("openvino", "bfloat16") in qualified
    wanted: Precision = "bfloat16" if reduced else precision
    return _openvino(device, wanted, engine, stages) or _torch(device, precision)


def may_have_gpu(devices: Path = Path("/dev")) -> bool:
    """Return whether this machine may have a GPU for torch, found out without loading torch.

    Parameters
    ----------
    devices : Path
        Folder of device files.
    """
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    return not devices.is_dir() or any((devices / name).exists() for name in _GPU_FILES)


def _openvino(device: str, precision: Precision, engine: EngineName, stages: Sequence[Stage]) -> Engine | None:
    """Return OpenVINO's engine, or None if torch is to be used."""
    if engine == "torch":
        return None
    if engine == "openvino":
        _require_openvino(device, stages)
    elif not _suits(device, stages):
        return None
    from cspine.inference.engines.openvino_engine import OpenVinoEngine

    return OpenVinoEngine("bfloat16" if precision == "bfloat16" else "float32")


def _require_openvino(device: str, stages: Sequence[Stage]) -> None:
    if device not in ("auto", "cpu"):
        raise UsageError(f"the engine openvino does not run on {device}", advice="Use `engine` torch, or `device` cpu.")
    if not has_openvino():
        raise UsageError("OpenVINO is not installed", advice="pip install openvino, or use `engine` torch.")
    if (reason := _not_built(stages)) is not None:
        raise UnsupportedModelError(f"the engine openvino does not build {reason}", advice="Use `engine` torch.")


def _suits(device: str, stages: Sequence[Stage]) -> bool:
    if device not in ("auto", "cpu") or not has_openvino() or (device == "auto" and _has_gpu()):
        return False
    if (reason := _not_built(stages)) is not None:
        _log.info("OpenVINO does not build %s, so torch is used", reason)
        return False
    return True


def _not_built(stages: Sequence[Stage]) -> str | None:
    from cspine.inference.engines.unet_graph import unsupported_layer

    return next((reason for stage in stages if (reason := unsupported_layer(stage.plan.architecture))), None)


def _has_gpu() -> bool:
    if not may_have_gpu():
        return False
    import torch

    return bool(torch.cuda.is_available())


def _torch(device: str, precision: Precision) -> Engine:
    from cspine.inference.engines.torch_engine import torch_engine

    return torch_engine(device, precision)
