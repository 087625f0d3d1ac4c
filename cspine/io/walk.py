"""Walk the folders of an input, through links to folders too: every step sees the same files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

OnError = Callable[[OSError], object]


def walk(folder: Path, on_error: OnError | None = None) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Yield a folder and each one below it with the names of its folders and of its files, as `os.walk` does.

    Links to folders are followed after all other folders. A folder that several links lead to, or that a link in it
    leads back to, is visited once.

    Parameters
    ----------
    folder : Path
        The folder; the caller may remove names of folders, which are then not visited.
    on_error : callable, optional
        Called with the error of a folder that cannot be read; such a folder has no files if omitted.
    """
    seen: set[Path] = set()
    pending = [folder]
    for top in pending:
        for place, folders, names in os.walk(top, onerror=on_error):
            current = Path(place)
            if (real := current.resolve()) in seen:
                folders.clear()
                continue
            seen.add(real)
            folders.sort()
            yield current, folders, names
            pending += [path for name in folders if (path := current / name).is_symlink()]


def files_below(folder: Path, on_error: OnError | None = None) -> list[Path]:
    """Return everything below a folder that is no folder, by path; links to folders are followed as in `walk`.

    Parameters
    ----------
    folder : Path
        The folder.
    on_error : callable, optional
        As in `walk`.
    """
    return sorted(current / name for current, _, names in walk(folder, on_error) for name in names)
