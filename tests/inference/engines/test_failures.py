from __future__ import annotations

import numpy as np
import pytest
import torch

from cspine.core.errors import CSpineError, DeviceError, InferenceError, OutOfMemoryError
from cspine.inference.engines.failures import is_out_of_memory, translated_errors


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (MemoryError("x"), OutOfMemoryError),
        (np.exceptions.AxisError("x"), None),
        (torch.OutOfMemoryError("CUDA out of memory. Tried"), OutOfMemoryError),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), OutOfMemoryError),
        (RuntimeError("Exception from src/inference: std::bad_alloc"), OutOfMemoryError),
        (RuntimeError("sizes do not match\nmore"), InferenceError),
        (DeviceError("x"), DeviceError),
    ],
)
def test_failures_have_a_code(raised, expected):
    with pytest.raises(expected or type(raised)) as caught, translated_errors():
        raise raised
    if isinstance(caught.value, CSpineError):
        assert "\n" not in caught.value.message


def test_only_an_error_of_memory_is_one():
    assert is_out_of_memory(OutOfMemoryError("x"))
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("the memory format is not supported"))
    assert not is_out_of_memory(ValueError("out of memory"))
