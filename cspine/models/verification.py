"""Verify an installed model package completely: its files, its plans, and every fold of its weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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


def verify_package(folder: Path) -> list[PackageCheck]:
    """Return the checks of a model package: `load_package` compares checksums only, and no weights.

    Parameters
    ----------
    folder : Path
        Folder of the package.

    Returns
    -------
    list of PackageCheck
        One that failed for each file that is changed or missing; if there is none, one for each fold, and one for the
        package.

    Raises
    ------
    ModelError, UnsupportedModelError
        If the manifest or the plans cannot be read, or the weights of a fold do not match the network.

    Examples
    --------
    >>> [check.sentence for check in verify_package(Path("models/cervical")) if not check.ok]  # doctest: +SKIP
    """
    from cspine.models.network import build_network, load_weights  # loads torch

    manifest = read_manifest(folder / MANIFEST_NAME)
    faults = [PackageCheck(False, fault) for fault in file_faults(folder, manifest)]
    if faults:
        return faults
    checks = []
    for stage in load_package(folder).stages:
        network = build_network(stage.plan.architecture)
        for fold in stage.manifest.folds:
            load_weights(network, stage.weights(fold))
            checks.append(PackageCheck(True, f"{stage.manifest.name}, fold {fold}: the weights match the network"))
    title = f"{manifest.identity.title}, {len(manifest.files)} files, checksum {manifest.identity.checksum}"
    return [*checks, PackageCheck(True, title)]
