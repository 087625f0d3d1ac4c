"""What must hold before the service starts: its model is meant, its spool can be used."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from cspine.core.errors import RoutingConfigError, SpoolError
from cspine.core.volumes import ModelIdentity
from cspine.io.machine import home_folder
from cspine.io.workspace import locked
from cspine.models.package import load_package
from cspine.models.registry import model_to_run
from cspine.service.queue import durable
from cspine.service.queue.spool import Spool, refuse_shared


def model_of_service(
    wanted: str | None, environment: Mapping[str, str], *, allow_demonstration: bool = False
) -> ModelIdentity:
    """Return the model that the service would run; a demonstration model only if the configuration allows it.

    Parameters
    ----------
    wanted : str or None
        ``run.model`` of the configuration.
    environment : mapping
        The process's environment.
    allow_demonstration : bool
        ``run.allow_demonstration`` of the configuration.

    Raises
    ------
    RoutingConfigError
        If no model is named and the one that would be taken is a demonstration.
    ModelError
        As `model_to_run` and `load_package`.
    """
    identity = load_package(model_to_run(wanted, environment, home_folder())).identity
    if wanted is None and identity.demonstration and not allow_demonstration:
        raise RoutingConfigError(
            f"run.model names no model, and {identity.title} would be run on patients",
            advice="Name a model (cspine models list), or set run.allow_demonstration: true for a trial.",
        )
    return identity


def inspect_spool(folder: Path, min_free_bytes: int) -> str:
    """Return how much of the spool's disk is free and used, and write nothing.

    Parameters
    ----------
    folder : Path
        The spool; it need not exist yet.
    min_free_bytes : int
        What must be free.

    Raises
    ------
    SpoolError
        If it cannot be made or written, every user can write it, another service uses it, or too little is free.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise SpoolError("the spool folder cannot be written")
    if folder.is_dir():
        refuse_shared(folder)
    _require_unlocked(folder / "lock")
    free = shutil.disk_usage(there).free
    if free < min_free_bytes:
        raise SpoolError(f"{free / 2**30:.1f} GiB are free, {min_free_bytes / 2**30:.1f} GiB are required")
    used = durable.tree_bytes(folder) if folder.is_dir() else 0
    return f"{free / 2**30:.1f} GiB free, {used / 2**30:.2f} GiB used"


def _require_unlocked(lock: Path) -> None:
    if lock.exists():  # a lock that no process holds is left as it is; one that is absent is not made
        with locked(lock, SpoolError("another service is using the spool")):
            pass


def require_links(spool: Spool) -> None:
    """Make a hard link in the spool, by which late instances join their study; SpoolError if there are none."""
    first = durable.stage(b"", spool.tmp)
    second = first.with_suffix(".link")
    try:
        durable.link(first, second)
    except OSError as error:
        raise SpoolError(f"the file system of the spool has no hard links: {error.strerror}") from error
    finally:
        durable.remove_file(second)
        durable.remove_file(first)
