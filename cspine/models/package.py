"""Model packages as folders, checked against their manifest before use; `package_writer` writes them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray
from safetensors import SafetensorError

from cspine.core.anatomy import VERTEBRAE, Vertebra
from cspine.core.errors import ModelChecksumError, ModelError, UnsupportedModelError
from cspine.core.volumes import ModelIdentity
from cspine.io import documents
from cspine.io.documents import DocumentError
from cspine.io.files import sha256_of
from cspine.models.manifest import (
    AUXILIARY,
    MANIFEST_NAME,
    ModelManifest,
    StageManifest,
    read_manifest,
)
from cspine.models.plans import Json, NetworkPlan, read_plan

if TYPE_CHECKING:
    import torch


_CHANGED = "The package was replaced or modified while it was in use. Load it again, or start the command again."
_SACRUM = re.compile(r"^(vertebrae?[\s_-]*)?(sacrum|s1)$", re.IGNORECASE)


@dataclass(frozen=True)
class Stage:
    """A network of a loaded package.

    Parameters
    ----------
    manifest : StageManifest
        Its entry in `model.yaml`.
    plan : NetworkPlan
        Its checked plan.
    folder : Path
        Folder with its files.
    checksums : mapping
        Fold to the SHA-256 of its weights, by the manifest of the package.
    """

    manifest: StageManifest
    plan: NetworkPlan
    folder: Path
    checksums: Mapping[str, str]

    @property
    def sacrum_labels(self) -> tuple[int, ...]:
        """Network labels of the auxiliary classes that `dataset.json` names as the sacrum."""
        names = self.plan.label_names
        return tuple(
            label
            for label, level in self.manifest.labels.items()
            if level == AUXILIARY and _SACRUM.match(names.get(label, ""))
        )

    def weights_file(self, fold: str) -> Path:
        """Return the file with the weights of a fold."""
        return self.folder / f"fold_{fold}.safetensors"

    def weights(self, fold: str) -> dict[str, torch.Tensor]:
        """Return the weights of a fold: name to tensor, in the dtype of the file.

        Parameters
        ----------
        fold : str
            A fold of the manifest, for example ``"0"`` or ``"all"``.

        Raises
        ------
        ModelChecksumError
            If the file was replaced or modified after the package was loaded.
        ModelError
            If the file cannot be read.
        """
        from safetensors.torch import load

        with self._reading(fold) as content:
            return load(content)

    def arrays(self, fold: str) -> dict[str, NDArray[Any]]:
        """Return the weights of a fold as arrays, read without torch.

        Parameters
        ----------
        fold : str
            A fold of the manifest, for example ``"0"`` or ``"all"``.

        Raises
        ------
        ModelChecksumError, ModelError
            As in `weights`.
        """
        from safetensors.numpy import load

        with self._reading(fold) as content:
            return load(content)

    @contextmanager
    def _reading(self, fold: str) -> Iterator[bytes]:
        """Yield the content of a weights file, read once, so that what is used is what was verified."""
        what = f"the weights of stage {self.manifest.name}, fold {fold},"
        try:
            content = self.weights_file(fold).read_bytes()
            if hashlib.sha256(content).hexdigest() != self.checksums[fold]:
                raise ModelChecksumError(f"{what} changed after the package was loaded", advice=_CHANGED)
            yield content
        except (OSError, SafetensorError, TypeError, KeyError) as error:
            raise ModelError(f"{what} cannot be read: {error}") from error


@dataclass(frozen=True)
class ModelPackage:
    """A model package that was checked against its manifest.

    Parameters
    ----------
    folder : Path
        Its folder.
    manifest : ModelManifest
        Content of `model.yaml`.
    stages : tuple of Stage
        In the order in which they run.
    """

    folder: Path
    manifest: ModelManifest
    stages: tuple[Stage, ...]

    @property
    def levels(self) -> tuple[Vertebra, ...]:
        """Levels that the model predicts, those of its last stage, from head to foot."""
        return tuple(level for level in VERTEBRAE if level.name in self.manifest.stages[-1].levels)

    @property
    def identity(self) -> ModelIdentity:
        """Identity of the model, as outputs record it."""
        return self.manifest.identity


def load_package(folder: Path) -> ModelPackage:
    """Return a model package; manifest, checksums and plans are checked, weights are read when a stage runs.

    Parameters
    ----------
    folder : Path
        Folder with a `model.yaml`.

    Raises
    ------
    ModelError
        If the manifest is invalid, or a file is outside the folder.
    ModelChecksumError
        If a file is missing or does not match its checksum.
    UnsupportedModelError
        If the plans need what cspine does not support.
    """
    manifest = read_manifest(folder / MANIFEST_NAME)
    faults = file_faults(folder, manifest)
    if faults:
        raise ModelChecksumError(f"model {manifest.name}: {'; '.join(faults)}")
    stages = tuple(_load_stage(folder, stage, manifest) for stage in manifest.stages)
    check_cascades([(stage.manifest, stage.plan) for stage in stages])
    return ModelPackage(folder, manifest, stages)


def current_package(folder: Path, held: ModelPackage | None) -> ModelPackage:
    """Return the package in a folder: the one that is held if its manifest is unchanged, or else newly loaded.

    A process that runs for months uses a replaced package from its next study on; errors as `load_package`.

    Parameters
    ----------
    folder : Path
        Folder with a `model.yaml`.
    held : ModelPackage or None
        What was loaded before.
    """
    if held is not None and held.folder == folder and read_manifest(folder / MANIFEST_NAME) == held.manifest:
        return held
    return load_package(folder)


def file_faults(folder: Path, manifest: ModelManifest) -> list[str]:
    """Return a message for each file of a package that does not match its manifest.

    Parameters
    ----------
    folder : Path
        Folder of the package.
    manifest : ModelManifest
        Its manifest.
    """
    faults = [
        f"{name} has no checksum in {MANIFEST_NAME}" for name in manifest.needed_files() if name not in manifest.files
    ]
    root = folder.resolve()
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.resolve().is_relative_to(root):
            faults.append(f"{name} is outside the package")
        elif (fault := _file_fault(path, expected)) is not None:
            faults.append(f"{name} {fault}")
    return faults


def _file_fault(path: Path, expected: str) -> str | None:
    try:
        if not path.is_file():
            return "is missing"
        return None if sha256_of(path) == expected else "does not match its checksum"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def read_model_json(path: Path) -> Json:
    """Return the object in a JSON file.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    ModelError
        If it cannot be read or contains something else.
    """
    try:
        content = documents.read_json(path)
    except OSError as error:
        raise ModelError(f"{path.name} cannot be read: {type(error).__name__}") from error
    except DocumentError as error:
        raise ModelError(f"{path.name} {error}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path.name} does not contain a JSON object")
    return content


def _load_stage(folder: Path, stage: StageManifest, manifest: ModelManifest) -> Stage:
    stage_folder = folder / stage.folder
    plans, dataset = read_model_json(stage_folder / "plans.json"), read_model_json(stage_folder / "dataset.json")
    plan = read_plan(plans, dataset, stage.configuration, stage.trainer)
    check_stage(stage, plan)
    checksums = {fold: manifest.files[stage.weights_file(fold)] for fold in stage.folds}
    return Stage(stage, plan, stage_folder, checksums)


def check_stage(stage: StageManifest, plan: NetworkPlan) -> None:
    """Raise ModelError if the labels or the mirror axes of a stage do not fit its network.

    Parameters
    ----------
    stage : StageManifest
        The stage in the manifest.
    plan : NetworkPlan
        The plan of its network.
    """
    if len(stage.labels) + 1 != plan.architecture.classes:
        raise ModelError(
            f"stage {stage.name}: {len(stage.labels)} labels, but the network has {plan.architecture.classes} classes"
        )
    if stage.mirror_axes and max(stage.mirror_axes) >= len(plan.patch_size):
        raise ModelError(f"stage {stage.name}: mirror axes {stage.mirror_axes} do not fit patch {plan.patch_size}")


def check_cascades(stages: Sequence[tuple[StageManifest, NetworkPlan]]) -> None:
    """Refuse a second stage of a cascade without its first stage, or with other labels than that.

    Parameters
    ----------
    stages : sequence of (StageManifest, NetworkPlan)
        All stages in their order.

    Raises
    ------
    UnsupportedModelError
        If the first stage is missing.
    ModelError
        If the labels differ.
    """
    for number, (stage, plan) in enumerate(stages):
        if not plan.is_cascade:
            continue
        if number == 0:
            raise UnsupportedModelError(
                f"{plan.configuration} is the second stage of a cascade, whose first stage is missing"
            )
        if stages[number - 1][0].labels != stage.labels:
            raise ModelError(f"stage {stage.name} is a cascade, but its first stage has other labels")
