"""The engine of PyTorch: CUDA with autocast, or the CPU. Only a run that uses it loads torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from cspine.core.errors import DeviceError
from cspine.core.shape import Box
from cspine.inference.engines.base import Array, Engine, Network
from cspine.inference.engines.failures import translated_errors
from cspine.inference.settings import Precision
from cspine.inference.threads import thread_limit
from cspine.models.network import build_network, load_weights
from cspine.models.package import Stage

# Share of the free GPU memory that accumulated logits may use; the network needs the rest.
_SHARE_FOR_LOGITS = 0.4


class TorchEngine(Engine):
    """PyTorch on the CPU or on one CUDA device.

    Parameters
    ----------
    device : torch.device
        CPU or one CUDA device.
    autocast : torch.dtype or None
        Type for torch's autocast; None for float32 throughout.
    """

    name = "torch"

    def __init__(self, device: torch.device, autocast: torch.dtype | None = None) -> None:
        self.torch_device, self.autocast = device, autocast
        name = "cpu" if device.type == "cpu" else f"{device} ({torch.cuda.get_device_name(device)})"
        super().__init__(name, str(autocast or torch.float32).removeprefix("torch."))

    @property
    def on_gpu(self) -> bool:
        """Whether networks run on a CUDA device."""
        return self.torch_device.type != "cpu"

    def load(self, stage: Stage, fold: str) -> Network:
        """Return the network of a stage with the weights of a fold, on the device."""
        network = build_network(stage.plan.architecture)
        load_weights(network, stage.weights(fold))
        return self.wrapped(network)

    def wrapped(self, network: torch.nn.Module) -> Network:
        """Return a module of torch as a network of this engine."""
        module = network.to(self.torch_device).eval()
        if self.on_gpu:
            return lambda patch: module(patch[None]).float()[0]
        return lambda patch: module(torch.from_numpy(patch)[None]).float()[0].numpy()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Enter the context of inference: no gradients, deterministic kernels, errors as errors of cspine."""
        with ExitStack() as stack:
            stack.enter_context(translated_errors())
            stack.enter_context(torch.inference_mode())
            if (limit := thread_limit()) is not None and limit != torch.get_num_threads():
                torch.set_num_threads(limit)
            if self.on_gpu:
                # TF32 has the precision of float16, so it is off if float32 was requested.
                tf32 = self.autocast is not None
                flags = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=tf32)
                stack.enter_context(flags)
            if self.autocast is not None:
                stack.enter_context(torch.autocast(self.torch_device.type, dtype=self.autocast))
            yield

    def place_for(self, bytes_needed: int) -> torch.device:
        """Return the device with enough memory for the accumulated logits: this one, or else the CPU."""
        if not self.on_gpu:
            return self.torch_device
        free, _ = torch.cuda.mem_get_info(self.torch_device)
        return self.torch_device if bytes_needed < free * _SHARE_FOR_LOGITS else torch.device("cpu")

    def array(self, values: NDArray[np.float32]) -> Array:
        """Return an array on the device of the networks."""
        host = super().array(values)
        return torch.from_numpy(host).to(self.torch_device) if self.on_gpu else host

    def flip(self, array: Array, axes: Sequence[int]) -> Array:
        """Return an array reversed along axes."""
        return torch.flip(array, tuple(axes)) if self.on_gpu else super().flip(array, axes)

    def zeros(self, shape: tuple[int, ...], copies: int = 1) -> Array:
        """Return zeros on the GPU if it has room for them, else in main memory."""
        if not self.on_gpu:
            return super().zeros(shape, copies)
        return torch.zeros(shape, device=self.place_for(4 * copies * int(np.prod(shape))))

    def add(self, total: Array, box: Box, logits: Array, weights: Array) -> None:
        """Add weighted logits to a box of the sums, in place."""
        if not self.on_gpu:
            super().add(total, box, logits, weights)
            return
        total[:, *box] += (logits * weights).to(total.device)

    def divide(self, total: Array, sums: Array) -> Array:
        """Return the mean logits."""
        if not self.on_gpu:
            return super().divide(total, sums)
        total /= sums.to(total.device)
        return total

    def is_finite(self, array: Array) -> bool:
        """Return whether all values are finite."""
        if not self.on_gpu:
            return super().is_finite(array)
        return bool(torch.isfinite(array.amax() - array.amin()))

    def host(self, array: Array) -> NDArray[np.float32]:
        """Return an array in main memory."""
        return np.asarray(array.cpu().numpy()) if self.on_gpu else super().host(array)

    def extended(self, array: Array, slices: int) -> Array:
        """Return an array with slices of zeros added along its third axis from the end."""
        if not self.on_gpu:
            return super().extended(array, slices)
        return torch.cat([array, array.new_zeros((*array.shape[:-3], slices, *array.shape[-2:]))], dim=-3)

    def release(self) -> None:
        """Give memory back that torch keeps for later use."""
        super().release()
        if self.on_gpu:
            torch.cuda.empty_cache()

    def copy(self, array: Array) -> Array:
        """Return a copy."""
        return array.clone() if self.on_gpu else super().copy(array)


def torch_engine(device: str, precision: Precision) -> TorchEngine:
    """Return the engine for a device and a precision.

    Parameters
    ----------
    device, precision : str
        As in `InferenceSettings`.

    Raises
    ------
    DeviceError
        If the device does not exist.
    """
    chosen = torch_device(device)
    if precision == "bfloat16":
        return TorchEngine(chosen, torch.bfloat16)
    return TorchEngine(chosen, torch.float16 if precision == "auto" and chosen.type == "cuda" else None)


def torch_device(wanted: str) -> torch.device:
    """Return the device of a name; DeviceError if there is none."""
    if wanted == "auto":
        return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")
    if wanted == "cpu":
        return torch.device("cpu")
    kind, _, number = wanted.partition(":")
    if kind != "cuda" or (number and not number.isdigit()) or wanted.endswith(":"):
        raise DeviceError(f"device {wanted!r} is not auto, cpu, cuda or cuda:N")
    if not torch.cuda.is_available():
        raise DeviceError(f"{wanted} is not available: torch finds no CUDA device")
    index = int(number) if number else torch.cuda.current_device()
    if index >= torch.cuda.device_count():
        raise DeviceError(
            f"{wanted} does not exist: there are {torch.cuda.device_count()} CUDA devices, numbered from 0"
        )
    return torch.device("cuda", index)
