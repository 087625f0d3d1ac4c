"""What a user may choose about a run of the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cspine.core.errors import UsageError

Precision = Literal["auto", "float32", "bfloat16"]


def parse_folds(text: str | None) -> tuple[str, ...] | None:
    """Return the folds that a text such as ``"0,1,2"`` names; None, for all of a model, where it names none."""
    return tuple(fold.strip() for fold in text.split(",")) if text else None


@dataclass(frozen=True)
class InferenceSettings:
    """Settings of an inference; all but the device change the labels, in details at least.

    Parameters
    ----------
    device : str
        ``"auto"`` (CUDA where there is one), ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
    folds : tuple of str, optional
        Folds to average; all of the package where left out.
    mirror : bool, optional
        Test-time mirroring over the axes that the training allows: up to eight times the work. None means off, on
        every device, so that the device does not decide about the labels.
    step_size : float
        Distance of tiles as a part of the patch, in (0, 1].
    precision : str
        ``"auto"``: float32 on a CPU, torch's autocast to float16 on CUDA, as nnU-Net does; ``"float32"``;
        ``"bfloat16"``: autocast to it, which is faster on CPUs with AMX or AVX512-BF16.
    """

    device: str = "auto"
    folds: tuple[str, ...] | None = None
    mirror: bool | None = None
    step_size: float = 0.5
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        if not 0 < self.step_size <= 1:
            raise UsageError(f"step size {self.step_size}: it is a part of the patch, above 0 and up to 1")
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise UsageError(f"precision {self.precision!r}: auto, float32 or bfloat16")
        if self.folds is not None and not self.folds:
            raise UsageError("at least one fold is needed")
