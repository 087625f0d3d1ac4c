"""The settings of inference."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from cspine.core.errors import UsageError

Precision = Literal["auto", "float32", "bfloat16"]
_DEVICE = re.compile(r"auto|cpu|cuda(:[0-9]{1,4})?")


def parse_folds(text: str | None) -> tuple[str, ...] | None:
    """Return the folds that a text such as ``"0,1,2"`` names; None, for all of a model, where it names none."""
    return tuple(fold.strip() for fold in text.split(",")) if text else None


@dataclass(frozen=True)
class InferenceSettings:
    """The settings of inference; all but the device affect the labels, at least in details.

    Parameters
    ----------
    device : str
        ``"auto"`` (CUDA if available), ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
    folds : tuple of str, optional
        Folds to average; all of the package if omitted.
    mirror : bool, optional
        Test-time mirroring over the axes that the training allows, at up to eight times the cost. None means off on
        every device, so that labels do not depend on the device.
    step_size : float
        Distance between tiles as a fraction of the patch, in (0, 1].
    precision : str
        ``"auto"``: float32 on a CPU, torch's autocast to float16 on CUDA, as in nnU-Net; ``"float32"``;
        ``"bfloat16"``: autocast, which is faster on CPUs with AMX or AVX512-BF16.
    """

    device: str = "auto"
    folds: tuple[str, ...] | None = None
    mirror: bool | None = None
    step_size: float = 0.5
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        if not _DEVICE.fullmatch(self.device):
            raise UsageError(f"device {self.device!r} is unknown", advice="Give auto, cpu, cuda or cuda:N.")
        if not 0 < self.step_size <= 1:
            raise UsageError(f"step size {self.step_size} is not a fraction of the patch, above 0 and up to 1")
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise UsageError(f"precision {self.precision!r} is not auto, float32 or bfloat16")
        if self.folds is not None and not self.folds:
            raise UsageError("at least one fold is needed")
