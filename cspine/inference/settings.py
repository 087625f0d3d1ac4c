"""The settings of inference."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from cspine.core.checks import is_finite_number
from cspine.core.errors import UsageError

Precision = Literal["auto", "float32", "bfloat16"]
RoiName = Literal["auto", "full"]
EngineName = Literal["auto", "torch", "openvino"]
#: Values of ``--precision`` and ``--engine``.
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
ENGINES: tuple[EngineName, ...] = get_args(EngineName)
ROIS: tuple[RoiName, ...] = get_args(RoiName)
_FOLD = re.compile(r"[0-9]{1,4}")
_DEVICE = re.compile(r"auto|cpu|cuda(:[0-9]{1,4})?")


def parse_folds(text: str | None) -> tuple[str, ...] | None:
    """Return the folds that a text such as ``"0,1,2"`` names, each once; None, for all there are, where it is empty.

    Parameters
    ----------
    text : str or None
        Numbers of folds separated by commas; ``all`` is the fold of a model that was trained on all cases.

    Raises
    ------
    UsageError
        If a fold is neither a number nor ``all``.
    """
    if not text:
        return None
    names = [fold.strip() for fold in text.split(",")]
    for name in names:
        if name != "all" and not _FOLD.fullmatch(name):
            raise UsageError(
                f"`folds` {text}: {name!r} is no fold",
                advice="Give numbers separated by commas, or all.",
            )
    return tuple(dict.fromkeys(name if name == "all" else str(int(name)) for name in names))


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
        ``"auto"``: torch's autocast to float16 on CUDA, as in nnU-Net; on a CPU float32, or bfloat16 where the CPU has
        AMX and the package is qualified for it; ``"float32"``; ``"bfloat16"``.
    engine : str
        ``"auto"``: torch on CUDA, OpenVINO on a CPU; ``"torch"``; ``"openvino"``.
    roi : str
        ``"auto"``: a cervical model of one stage sees the neck alone, which the first stage of the shipped model finds,
        if that saves work, and the first stage of a model of several sees the neck alone in a long scan; ``"full"``:
        both see the complete image.
    """

    device: str = "auto"
    folds: tuple[str, ...] | None = None
    mirror: bool | None = None
    step_size: float = 0.5
    precision: Precision = "auto"
    engine: EngineName = "auto"
    roi: RoiName = "auto"

    def __post_init__(self) -> None:
        if not isinstance(self.device, str) or not _DEVICE.fullmatch(self.device):
            raise UsageError(f"device {self.device!r} is unknown", advice="Give auto, cpu, cuda or cuda:N.")
        if not is_finite_number(self.step_size) or not 0 < self.step_size <= 1:
            raise UsageError(f"step size {self.step_size} is not a fraction of the patch, above 0 and up to 1")
        for what, known in (("precision", PRECISIONS), ("engine", ENGINES), ("roi", ROIS)):
            value = getattr(self, what)
            if value not in known:
                raise UsageError(f"{what} {value!r} is not one of {', '.join(known)}")
        if self.folds is not None and not self.folds:
            raise UsageError("at least one fold is needed")
