"""The silence of libraries: it begins with the first who needs it, and ends with the last."""

from __future__ import annotations

import logging
import warnings
from contextlib import ExitStack

import pytest
from pydicom import Dataset, config

from cspine.dicom.phi_logging import suppress_phi_logging


def _settings() -> tuple[int, int, int, int]:
    level = logging.getLogger("highdicom").level
    modes = config.settings.reading_validation_mode, config.settings.writing_validation_mode
    return (level, *modes, len(warnings.filters))


@pytest.mark.parametrize("first_to_leave", [0, 1])
def test_silence_lasts_until_the_last_has_left_and_then_everything_is_as_before(first_to_leave: int) -> None:
    before = _settings()
    users = [ExitStack(), ExitStack()]
    for user in users:
        user.enter_context(suppress_phi_logging())
    silent = _settings()
    assert silent[:3] == (logging.ERROR, config.IGNORE, config.IGNORE)
    users.pop(first_to_leave).close()
    assert _settings() == silent
    with warnings.catch_warnings(record=True) as shown:
        Dataset().PatientBirthDate = "SECRET"
    assert shown == []
    users.pop().close()
    assert _settings() == before


def test_an_error_ends_the_silence() -> None:
    before = _settings()
    with pytest.raises(ValueError), suppress_phi_logging():
        raise ValueError
    assert _settings() == before
