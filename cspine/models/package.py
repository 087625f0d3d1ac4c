"""Model packages as folders, written atomically and checked against their manifest before use."""

from __future__ import annotations

import glob
import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray
from safetensors import SafetensorError

from cspine.core.anatomy import VERTEBRAE, Vertebra
from cspine.core.errors import ModelChecksumError, ModelError, ModelExistsError, UnsupportedModelError
from cspine.core.volumes import ModelIdentity
from cspine.io import documents
from cspine.io.documents import DocumentError
from cspine.models.card import model_card
from cspine.models.manifest import (
    AUXILIARY,
    CARD_NAME,
    MANIFEST_NAME,
    ModelManifest,
    StageManifest,
    manifest_text,
    read_manifest,
)
from cspine.models.plans import Json, NetworkPlan, read_plan

if TYPE_CHECKING:
    import torch

    from cspine.models.network import StateDict

_CHUNK = 2**20
_OLD = "old"
_CHANGED = "The package was replaced or modified while it was in use. Load it again, or start the command again."
_SACRUM = re.compile(r"^(vertebrae?[\s_-]*)?(sacrum|s1)$", re.IGNORECASE)


@dataclass(frozen=True)
class StageContent:
    """The content of the folder of a stage.

    Parameters
    ----------
    plans, dataset : mapping
        Content of `plans.json` and `dataset.json` in nnU-Net v2's format.
    weights : mapping
        Fold (``"0"``, ``"all"``) to state dict; float16 is kept in the file, bfloat16, which NumPy lacks, is stored as
        float32, and networks run in float32.
    """

    plans: Json
    dataset: Json
    weights: Mapping[str, StateDict]


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
        """Return the weights of a fold as arrays, read without torch; errors as `weights`."""
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
    _check_cascades([(stage.manifest, stage.plan) for stage in stages])
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


def write_package(
    folder: Path,
    manifest: ModelManifest,
    contents: Mapping[str, StageContent],
    *,
    card: str | None = None,
    replace: bool = False,
) -> ModelPackage:
    """Write a model package atomically and return it.

    Parameters
    ----------
    folder : Path
        Folder of the package; its parents are created.
    manifest : ModelManifest
        Manifest without ``files``, which are added here.
    contents : mapping
        Name of each stage to its content.
    card : str, optional
        Text of the model card (`README.md`); generated from the manifest if omitted.
    replace : bool
        True to replace an existing package.

    Returns
    -------
    ModelPackage
        As `load_package` reads it from the new folder.

    Raises
    ------
    ModelExistsError
        If the folder exists and may not be replaced.
    ModelError
        If contents and manifest, or weights and plans, do not match, or the folder cannot be written.
    """
    if set(contents) != {stage.name for stage in manifest.stages}:
        raise ModelError(f"contents {sorted(contents)} do not match the stages of the manifest")
    plans = [_plan_of(stage, contents[stage.name]) for stage in manifest.stages]
    _check_cascades(list(zip(manifest.stages, plans, strict=True)))
    with written_beside(folder, replace=replace) as work:
        for stage, plan in zip(manifest.stages, plans, strict=True):
            try:
                _write_stage(work / stage.folder, plan, contents[stage.name])
            except UnsupportedModelError as error:
                raise UnsupportedModelError(f"{error.message}; it was trained by {stage.trainer}") from error
        (work / CARD_NAME).write_text(card if card is not None else model_card(manifest), encoding="utf-8")
        names = sorted(path.relative_to(work).as_posix() for path in work.rglob("*") if path.is_file())
        finished = manifest.model_copy(update={"files": {name: sha256_of(work / name) for name in names}})
        (work / MANIFEST_NAME).write_text(manifest_text(finished), encoding="utf-8")
        load_package(work)
    return load_package(folder)


@contextmanager
def written_beside(folder: Path, *, replace: bool) -> Iterator[Path]:
    """Yield an empty folder for a package, which is renamed to its target when the block ends without an error.

    Parameters
    ----------
    folder : Path
        Target; its parents are created.
    replace : bool
        True to replace an existing package.

    Raises
    ------
    ModelExistsError
        If the target exists and may not be replaced.
    ModelError
        If the operating system refuses something, for example space on the disk.
    """
    try:
        _restore_replaced(folder)
        if folder.exists() and not replace:
            raise ModelExistsError(f"model {folder.name} is already installed")
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            yield work
            work.chmod(0o755)
            _move_to(work, folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    except (OSError, SafetensorError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ModelError(
            f"model {folder.name} cannot be written: {reason or type(error).__name__}",
            advice="Check that the folder of models is writable and its disk has space, or choose another with `into`.",
        ) from error


def _move_to(work: Path, folder: Path) -> None:
    """Rename a finished folder to its target, replacing an existing one; if that is interrupted, the old one stays."""
    if not folder.exists():
        work.rename(folder)
        return
    aside = Path(tempfile.mkdtemp(prefix=_aside_prefix(folder), dir=folder.parent))
    old = aside / _OLD
    try:
        folder.rename(old)
        work.rename(folder)
    except BaseException:  # also of a signal: there is always either the old package or the new one
        if old.exists() and not folder.exists():
            old.rename(folder)
        raise
    finally:
        if folder.exists():
            shutil.rmtree(aside, ignore_errors=True)


def _restore_replaced(folder: Path) -> None:
    """Put a package back that a killed process had set aside to replace it, and remove what is left of others."""
    for aside in sorted(folder.parent.glob(f"{glob.escape(_aside_prefix(folder))}*")):
        if [path.name for path in aside.iterdir()] != [_OLD]:
            continue
        if not folder.exists() and (aside / _OLD / MANIFEST_NAME).is_file():
            (aside / _OLD).rename(folder)
        if folder.exists():
            shutil.rmtree(aside, ignore_errors=True)


def _aside_prefix(folder: Path) -> str:
    return f".{folder.name}-old-"


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def read_json(path: Path) -> Json:
    """Return the object in a JSON file.

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
    plans, dataset = read_json(stage_folder / "plans.json"), read_json(stage_folder / "dataset.json")
    plan = read_plan(plans, dataset, stage.configuration, stage.trainer)
    _check_stage(stage, plan)
    checksums = {fold: manifest.files[stage.weights_file(fold)] for fold in stage.folds}
    return Stage(stage, plan, stage_folder, checksums)


def _check_stage(stage: StageManifest, plan: NetworkPlan) -> None:
    if len(stage.labels) + 1 != plan.architecture.classes:
        raise ModelError(
            f"stage {stage.name}: {len(stage.labels)} labels, but the network has {plan.architecture.classes} classes"
        )
    if stage.mirror_axes and max(stage.mirror_axes) >= len(plan.patch_size):
        raise ModelError(f"stage {stage.name}: mirror axes {stage.mirror_axes} do not fit patch {plan.patch_size}")


def _check_cascades(stages: Sequence[tuple[StageManifest, NetworkPlan]]) -> None:
    for number, (stage, plan) in enumerate(stages):
        if not plan.is_cascade:
            continue
        if number == 0:
            raise UnsupportedModelError(
                f"{plan.configuration} is the second stage of a cascade, whose first stage is missing"
            )
        if stages[number - 1][0].labels != stage.labels:
            raise ModelError(f"stage {stage.name} is a cascade, but its first stage has other labels")


def _plan_of(stage: StageManifest, content: StageContent) -> NetworkPlan:
    if set(content.weights) != set(stage.folds):
        raise ModelError(f"stage {stage.name}: weights have folds {sorted(content.weights)}, not {sorted(stage.folds)}")
    plan = read_plan(content.plans, content.dataset, stage.configuration, stage.trainer)
    _check_stage(stage, plan)
    return plan


def _write_stage(folder: Path, plan: NetworkPlan, content: StageContent) -> None:
    from safetensors.torch import save_file

    from cspine.models.network import build_network, own_weights, without_bfloat16

    network = build_network(plan.architecture)
    folder.mkdir()
    for name, value in (("plans.json", content.plans), ("dataset.json", content.dataset)):
        (folder / name).write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    for fold, weights in content.weights.items():
        stored = without_bfloat16(own_weights(network, weights))
        save_file(stored, folder / f"fold_{fold}.safetensors", {"format": "pt"})
