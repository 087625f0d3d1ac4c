"""Errors of inference (CS-INF): network, device and memory."""

from __future__ import annotations

from cspine.core.errors.base import CSpineError, Subject


class InferenceError(CSpineError):
    """The network failed."""

    code = "CS-INF-001"
    exit_code = 8
    subject = Subject.CASE
    advice = "Try `device` cpu; the log has the cause."


class DeviceError(InferenceError):
    """The requested device is not available."""

    code = "CS-INF-002"
    subject = Subject.SYSTEM
    advice = "Use `device` auto or cpu."


class OutOfMemoryError(InferenceError):
    """The process is out of memory."""

    code = "CS-INF-003"
    advice = "Free memory, use a GPU with more memory, or use `device` cpu."


class NotEnoughMemoryError(InferenceError):
    """The model needs more memory for this scan than is available, so it was not started."""

    code = "CS-INF-004"
    advice = "Free memory or raise the limit of the container, or send a series with fewer or thicker slices."
