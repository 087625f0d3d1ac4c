"""A picture that a notebook shows and that can be saved."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cspine.io.files import require_ending, write_atomic


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
        """Write the picture as a PNG.

        Parameters
        ----------
        path : str or Path
            File to write; an existing one is replaced.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        UsageError
            If the file has another ending than ``.png``.
        OutputError
            If it cannot be written.
        """
        require_ending(path, (".png",))
        write_atomic(Path(path), lambda partial: partial.write_bytes(self.png))
        return Path(path)

    def _repr_png_(self) -> bytes:
        return self.png
