"""The model packages that are found, their files compared with their checksums."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cspine.doctor.check import Diagnosis, looked_at, ok, warn


def models(wanted: str | None, places: Sequence[Path], pointed_to: Path | None = None) -> list[Diagnosis]:
    """Return a line a model: the one that a run would take must be whole, the others should be.

    Parameters
    ----------
    wanted : str or None
        Name or folder; the default model where it is None.
    places : sequence of Path
        Folders of packages.
    pointed_to : Path, optional
        As `registry.find_model`: in a container the model of a run is the only one there.
    """
    from cspine.models.package import load_package
    from cspine.models.registry import DEFAULT_MODEL, find_model, list_models

    name = "model" if wanted is None and pointed_to is not None else f"model {wanted or DEFAULT_MODEL}"
    chosen: list[Path] = []

    def look() -> Diagnosis:
        folder = find_model(wanted, places, pointed_to)
        chosen.append(folder.resolve())
        identity = load_package(folder).identity
        return ok(name, f"{identity.title}, checksum {identity.checksum[:12]}, every file as it should be")

    lines = [looked_at(name, look, "Install the model again.")]
    for found in list_models(places):
        if found.folder.resolve() in chosen:
            continue
        other = looked_at(f"model {found.name}", lambda folder=found.folder: _other(folder), "")  # type: ignore[misc]
        lines.append(other if not other.advice else warn(other.name, other.text, other.advice))
    return lines


def _other(folder: Path) -> Diagnosis:
    from cspine.models.package import load_package

    identity = load_package(folder).identity
    return ok(f"model {identity.name}", f"{identity.title}, checksum {identity.checksum[:12]}")
