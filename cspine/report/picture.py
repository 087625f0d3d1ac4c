"""A picture that a notebook shows and that can be saved."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cspine.io.files import write_atomic


@dataclass(frozen=True)
class Picture:
    """A PNG in memory.

    Parameters
    ----------
    png : bytes
        The file's content.
    """

    png: bytes = field(repr=False)

    def save(self, path: str | Path) -> Path:
        """Write the picture; OutputError if that fails."""
        write_atomic(Path(path), lambda partial: partial.write_bytes(self.png))
        return Path(path)

    def _repr_png_(self) -> bytes:
        return self.png
