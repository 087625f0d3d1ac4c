"""The installed model packages, verified by their checksums."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cspine.doctor.diagnostic import Diagnostic, ok, run_check, warn


def models(wanted: str | None, model_folders: Sequence[Path], container_folder: Path | None = None) -> list[Diagnostic]:
    """Verify each model package: a damaged one is a failure for the model of a run, otherwise a warning.

    Parameters
    ----------
    wanted : str or None
        Name or folder of the model of a run; None for the default model.
    model_folders : sequence of Path
        Folders with model packages.
    container_folder : Path, optional
        As for `registry.find_model`: in a container it has only the model of a run.
    """
    from cspine.models.package import load_package
    from cspine.models.registry import DEFAULT_MODEL, find_model, list_models

    name = "model" if wanted is None and container_folder is not None else f"model {wanted or DEFAULT_MODEL}"
    chosen: list[Path] = []

    def check() -> Diagnostic:
        folder = find_model(wanted, model_folders, container_folder)
        chosen.append(folder.resolve())
        identity = load_package(folder).identity
        return ok(name, f"{identity.title}, checksum {identity.checksum[:12]}, all files verified")

    diagnostics = [run_check(name, check, "Install the model again.")]
    for found in list_models(model_folders):
        if found.folder.resolve() in chosen:
            continue
        other = run_check(f"model {found.name}", lambda folder=found.folder: _other(folder), "")  # type: ignore[misc]
        diagnostics.append(other if not other.advice else warn(other.name, other.text, other.advice))
    return diagnostics


def _other(folder: Path) -> Diagnostic:
    from cspine.models.package import load_package

    identity = load_package(folder).identity
    return ok(f"model {identity.name}", f"{identity.title}, checksum {identity.checksum[:12]}")
