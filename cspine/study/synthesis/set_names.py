"""Names of the evaluation sets, apart from what makes them, so that a command can list them at once."""

from __future__ import annotations

#: Name of each set and its first seed; training begins at 1000000.
SETS = {"ordinary": 10_000, "hard": 20_000, "angio": 30_000, "worn": 40_000}
#: Sets whose necks are put together from several people's bones.
ARTICULATED = ("angio", "worn")
