"""Write model packages: complete or not at all, replacing an installed one by rename."""

from __future__ import annotations

import glob
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError

from cspine.core.errors import ModelError, ModelExistsError, UnsupportedModelError
from cspine.io.files import sha256_of
from cspine.models.card import model_card
from cspine.models.manifest import (
    CARD_NAME,
    MANIFEST_NAME,
    ModelManifest,
    StageManifest,
    manifest_text,
)
from cspine.models.package import ModelPackage, check_cascades, check_stage, load_package
from cspine.models.plans import Json, NetworkPlan, read_plan

if TYPE_CHECKING:
    from cspine.models.network import StateDict

_OLD = "old"


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
    check_cascades(list(zip(manifest.stages, plans, strict=True)))
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


def _plan_of(stage: StageManifest, content: StageContent) -> NetworkPlan:
    if set(content.weights) != set(stage.folds):
        raise ModelError(f"stage {stage.name}: weights have folds {sorted(content.weights)}, not {sorted(stage.folds)}")
    plan = read_plan(content.plans, content.dataset, stage.configuration, stage.trainer)
    check_stage(stage, plan)
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
