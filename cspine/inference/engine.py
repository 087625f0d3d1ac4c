"""The device and the precision in which the network runs, and the translation of its errors."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch

from cspine.core.errors import DeviceError, InferenceError, OutOfMemoryError
from cspine.inference.settings import Precision

_log = logging.getLogger(__name__)

_NO_MEMORY = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory")
# Share of the free GPU memory that accumulated logits may use; the network needs the rest.
_SHARE_FOR_LOGITS = 0.4


@dataclass(frozen=True)
class Engine:
    """A device and the precision in which the network runs.

    Parameters
    ----------
    device : torch.device
        CPU or one CUDA device.
    autocast : torch.dtype or None
        Type for torch's autocast; None for float32 throughout.
    """

    device: torch.device
    autocast: torch.dtype | None

    @property
    def name(self) -> str:
        """``"cpu"``, or the CUDA device with the name of the card."""
        if self.device.type == "cpu":
            return "cpu"
        return f"{self.device} ({torch.cuda.get_device_name(self.device)})"

    @property
    def precision(self) -> str:
        """``"float32"``, ``"float16"`` or ``"bfloat16"``."""
        return str(self.autocast or torch.float32).removeprefix("torch.")

    def device_for(self, bytes_needed: int) -> torch.device:
        """Return the device with enough memory for the accumulated logits: this one, or else the CPU."""
        if self.device.type == "cpu":
            return self.device
        free, _ = torch.cuda.mem_get_info(self.device)
        return self.device if bytes_needed < free * _SHARE_FOR_LOGITS else torch.device("cpu")

    @contextmanager
    def running(self) -> Iterator[None]:
        """Enter the context of inference: no gradients, deterministic kernels, errors of torch as errors of cspine.

        Raises
        ------
        OutOfMemoryError
            If there is not enough memory.
        InferenceError
            If torch fails otherwise.
        """
        with ExitStack() as stack:
            stack.enter_context(translated_errors())
            stack.enter_context(torch.inference_mode())
            if self.device.type == "cuda":
                # TF32 has the precision of float16, so it is off if float32 was requested.
                tf32 = self.autocast is not None
                flags = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=tf32)
                stack.enter_context(flags)
            if self.autocast is not None:
                stack.enter_context(torch.autocast(self.device.type, dtype=self.autocast))
            yield


def choose_engine(device: str, precision: Precision = "auto") -> Engine:
    """Return the engine for a device and a precision, and log it.

    Parameters
    ----------
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
    precision : str
        As in `InferenceSettings`.

    Raises
    ------
    DeviceError
        If the device does not exist.
    """
    chosen = _device(device)
    autocast: torch.dtype | None = None
    if precision == "bfloat16":
        autocast = torch.bfloat16
    elif precision == "auto" and chosen.type == "cuda":
        autocast = torch.float16
    engine = Engine(chosen, autocast)
    _log.info("device: %s, %s", engine.name, engine.precision)
    return engine


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise errors with a code in place of those of torch and numpy."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise OutOfMemoryError(f"out of memory: {_first_line(error)}") from error
    except RuntimeError as error:
        if any(words in str(error).lower() for words in _NO_MEMORY):
            raise OutOfMemoryError(f"out of memory: {_first_line(error)}") from error
        raise InferenceError(f"torch failed: {_first_line(error)}") from error


def _device(wanted: str) -> torch.device:
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


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
