"""How long work reports its progress to whoever called it."""

from __future__ import annotations

from collections.abc import Callable

#: Called with the work done so far and the total; work of several stages begins at 0 again.
ProgressCallback = Callable[[int, int], None]
