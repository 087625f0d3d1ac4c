"""How long each step of a study took."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_log = logging.getLogger(__name__)


@dataclass
class Stopwatch:
    """Seconds that each step took, in the order of the steps.

    Parameters
    ----------
    seconds : dict of str to float
        Seconds by name of the step; those of earlier steps, if there were any.
    """

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step and log it.

        Parameters
        ----------
        name : str
            Name of the step, as the summary states it.
        """
        begun = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - begun, 3)
        _log.info("%s: %.1f s", name, self.seconds[name])
