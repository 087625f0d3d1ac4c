"""Verify an installed model package completely: its files, its plans, and every fold of its weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cspine.core.errors import ModelChecksumError
from cspine.models.manifest import MANIFEST_NAME, read_manifest
from cspine.models.package import file_faults, load_package


@dataclass(frozen=True)
class PackageCheck:
    """A check of a model package.

    Parameters
    ----------
    ok : bool
        Whether the package passed it.
    sentence : str
        What was checked, or what is wrong.
    """

    ok: bool
    sentence: str


def verify_package(folder: Path) -> Iterator[PackageCheck]:
    """Yield each check of a model package as it is done: `load_package` compares checksums only, and no weights.

    Parameters
    ----------
    folder : Path
        Folder of the package.

    Yields
    ------
    PackageCheck
        One for each file that is changed or missing; if there is none, one for each fold, and one for the package.

    Raises
    ------
    ModelChecksumError
        After the checks of all files, if one does not match the manifest.
    ModelError, UnsupportedModelError
        If the manifest or the plans cannot be read, or the weights of a fold do not match the network.

    Examples
    --------
    >>> faults = [check for check in verify_package(Path("models/cervical"))]  # doctest: +SKIP
    """
    from cspine.models.network import build_network, load_weights  # loads torch

    manifest = read_manifest(folder / MANIFEST_NAME)
    faults = file_faults(folder, manifest)
    yield from (PackageCheck(False, fault) for fault in faults)
    if faults:
        raise ModelChecksumError(
            f"model {manifest.name}: {len(faults)} of {len(manifest.files)} files are changed or missing"
        )
    for stage in load_package(folder).stages:
        network = build_network(stage.plan.architecture)
        for fold in stage.manifest.folds:
            load_weights(network, stage.weights(fold))
            yield PackageCheck(True, f"{stage.manifest.name}, fold {fold}: the weights match the network")
    yield PackageCheck(
        True, f"{manifest.identity.title}, {len(manifest.files)} files, checksum {manifest.identity.checksum}"
    )
