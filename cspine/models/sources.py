"""Read trained models as others publish them: results folders of nnU-Net v2, exported zips, MONAI bundles.

The files are found and read here; `install` makes a package of them.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cspine.core.errors import ModelError, UnreadableArchiveError, UnsupportedModelError, UsageError
from cspine.io.archives import unpack
from cspine.models.checkpoint import Checkpoint, check_weights, load_checkpoint, load_pickle
from cspine.models.manifest import MANIFEST_NAME
from cspine.models.network import StateDict
from cspine.models.package import read_model_json
from cspine.models.plans import Json, NetworkPlan, read_plan

_BUNDLE_CHECKPOINT = "nnunet_checkpoint.pth"
#: The checkpoints of a fold that nnU-Net writes: after the last epoch, of the best one, and while it trains.
CHECKPOINTS = ("final", "best", "latest")
_BUNDLE_WEIGHTS = "model.pt"
_WANTED = (
    *("plans.json", "dataset.json", _BUNDLE_CHECKPOINT, _BUNDLE_WEIGHTS, MANIFEST_NAME, "README.md"),
    *(f"checkpoint_{name}.pth" for name in CHECKPOINTS),
)
_DEPTH = 5


@dataclass(frozen=True)
class TrainedModel:
    """A configuration of a trained nnU-Net.

    Parameters
    ----------
    plans, dataset : mapping
        Content of its JSON files.
    checkpoint : Checkpoint
        Checkpoint of the first fold, with trainer, configuration and mirroring axes.
    weights : dict
        Fold to state dict.
    kind : str
        Description of the source, for the manifest.
    """

    plans: Json
    dataset: Json
    checkpoint: Checkpoint
    weights: dict[str, StateDict]
    kind: str


@contextmanager
def open_source(source: Path) -> Iterator[Path]:
    """Yield the folder of a source: the folder itself, or a temporary one to which a zip was safely unpacked.

    Parameters
    ----------
    source : Path
        A folder or a `.zip`.

    Raises
    ------
    ModelError
        If it is neither, is damaged, or would unpack outside its folder.
    """
    if source.is_dir():
        yield source
        return
    if not source.is_file() or not zipfile.is_zipfile(source):
        raise ModelError(f"{source.name} is neither a folder nor a zip archive")
    with TemporaryDirectory(prefix="cspine-install-") as work:
        _unpack(source, Path(work))
        yield Path(work)


def find_package(folder: Path) -> Path | None:
    """Return the only cspine package within a folder, or None.

    Parameters
    ----------
    folder : Path
        Folder to search, with a few levels of subfolders.

    Returns
    -------
    Path or None
        Folder of the package; None if there is none, or more than one.
    """
    found = sorted(path.parent for path in _search(folder, MANIFEST_NAME))
    return found[0] if len(found) == 1 else None


def find_trained(folder: Path, configuration: str | None, checkpoint: str = "final") -> Path:
    """Return the folder with `plans.json`, `dataset.json` and the folds, somewhere in ``folder``.

    Parameters
    ----------
    folder : Path
        A results folder, one of its parents, or a MONAI bundle.
    configuration : str, optional
        Configuration to choose if there are several, for example ``"3d_fullres"``.
    checkpoint : str
        One of `CHECKPOINTS`; a MONAI bundle has one only.

    Raises
    ------
    ModelError
        If there is none.
    UsageError
        If there are several.
    """
    found = sorted({path.parent for path in _search(folder, "plans.json") if _weights_below(path.parent, checkpoint)})
    if configuration is not None:
        found = [path for path in found if _configuration(path, checkpoint) == configuration]
    if not found:
        raise _not_found(folder, configuration, checkpoint)
    if len(found) > 1:
        names = ", ".join(sorted({_configuration(path, checkpoint) for path in found}))
        raise UsageError(
            f"the source contains {len(found)} trained models: {names}", advice="Choose one with `configuration`."
        )
    return found[0]


def _not_found(folder: Path, configuration: str | None, checkpoint: str) -> ModelError:
    wanted = f" of configuration {configuration}" if configuration else ""
    others = [name for name in CHECKPOINTS if name != checkpoint and any(_search(folder, f"checkpoint_{name}.pth"))]
    advice = "Pass the folder Dataset.../Trainer__Plans__Configuration, its export as a zip, or a MONAI bundle."
    if others:
        advice = f"Choose another checkpoint with `checkpoint`: there is {', '.join(others)}."
    return ModelError(
        f"no trained nnU-Net v2 model{wanted} with plans.json, dataset.json and fold_N/checkpoint_{checkpoint}.pth "
        "was found",
        advice=advice,
    )


def read_trained(folder: Path, folds: Sequence[str] | None, checkpoint: str = "final") -> TrainedModel:
    """Return a trained model from its folder.

    Parameters
    ----------
    folder : Path
        As `find_trained` returns it.
    folds : sequence of str, optional
        Folds to read; if omitted all numbered ones, which must all have the checkpoint, or ``fold_all`` if there is no
        other.
    checkpoint : str
        As in `find_trained`.

    Raises
    ------
    ModelError
        If a fold is missing, the folds were trained differently, or the JSON files contradict a checkpoint.
    UsageError
        If ``folds`` is omitted and a fold has other checkpoints only.
    UnsafeCheckpointError, UnsupportedModelError
        As `checkpoint.load_checkpoint`.
    """
    plans, dataset = read_model_json(folder / "plans.json"), read_model_json(folder / "dataset.json")
    files = _weights_below(folder, checkpoint)
    if not folds and not (folder / _BUNDLE_CHECKPOINT).is_file():
        _require_all_folds(folder, files, checkpoint)
    chosen = tuple(folds) if folds else tuple(fold for fold in files if fold != "all") or ("all",)
    missing = [fold for fold in chosen if fold not in files]
    if missing:
        raise ModelError(f"fold {', '.join(missing)} does not exist; folds: {', '.join(files)}")
    if (folder / _BUNDLE_CHECKPOINT).is_file():
        common = load_checkpoint(folder / _BUNDLE_CHECKPOINT)
        _require_same_plan(common, plans, dataset, _BUNDLE_CHECKPOINT)
        return TrainedModel(plans, dataset, common, _bundle(files, chosen), "MONAI bundle")
    checkpoints = {fold: load_checkpoint(files[fold]) for fold in chosen}
    first = checkpoints[chosen[0]]
    for fold, content in checkpoints.items():
        if not content.weights:
            raise UnsupportedModelError(f"fold {fold}: {files[fold].name} contains no network_weights")
        if (content.trainer, content.configuration, content.mirror_axes) != (
            first.trainer,
            first.configuration,
            first.mirror_axes,
        ):
            raise ModelError(f"fold {fold} was trained differently from fold {chosen[0]}")
        _require_same_plan(content, plans, dataset, f"the checkpoint of fold {fold}")
    weights = {fold: content.weights for fold, content in checkpoints.items()}
    kind = "nnU-Net v2 results" if checkpoint == "final" else f"nnU-Net v2 results ({checkpoint} checkpoint)"
    return TrainedModel(plans, dataset, first, weights, kind)


def _require_all_folds(folder: Path, files: dict[str, Path], checkpoint: str) -> None:
    """Refuse to leave out a numbered fold only because it has another checkpoint: the user has to choose."""
    others = {path.parent.name.removeprefix("fold_") for path in folder.glob("fold_*/checkpoint_*.pth")}
    left_out = sorted(fold for fold in others - set(files) if fold.isdigit())
    if left_out:
        raise UsageError(
            f"fold {', '.join(left_out)} has other checkpoints, but no checkpoint_{checkpoint}.pth",
            advice="Choose the folds to install with `folds`, or another checkpoint with `checkpoint`.",
        )


def _require_same_plan(content: Checkpoint, plans: Json, dataset: Json, what: str) -> None:
    """Refuse JSON files that contradict what a checkpoint was trained with: its weights would run otherwise."""
    if not content.plans or not content.dataset:
        return
    stated, trained = (
        _comparable(read_plan(*files, content.configuration, content.trainer))
        for files in ((plans, dataset), (content.plans, content.dataset))
    )
    if differing := [name for name, value in stated.items() if value != trained[name]]:
        raise ModelError(
            f"{what} was trained with other plans or labels than plans.json and dataset.json state: "
            f"{', '.join(differing)} differ",
            advice="Restore the files of the training, or install folds of one training. `labels` renames labels.",
        )


def _comparable(plan: NetworkPlan) -> dict[str, Any]:
    """Return the values of a plan that change a result, without the difference between lists and tuples."""
    values: dict[str, Any] = json.loads(json.dumps(asdict(plan)))
    del values["dataset_name"]
    return values


def _bundle(files: dict[str, Path], folds: Sequence[str]) -> dict[str, StateDict]:
    weights: dict[str, StateDict] = {}
    for fold in folds:
        content = load_pickle(files[fold])
        weights[fold] = check_weights(content.get("network_weights", content), files[fold].name)
    return weights


def _weights_below(folder: Path, checkpoint: str) -> dict[str, Path]:
    """Return the file of each fold, numbered folds first and in order."""
    name = _BUNDLE_WEIGHTS if (folder / _BUNDLE_CHECKPOINT).is_file() else f"checkpoint_{checkpoint}.pth"
    files = (path for path in folder.glob(f"fold_*/{name}") if path.is_file())
    found = {path.parent.name.removeprefix("fold_"): path for path in files}
    return dict(sorted(found.items(), key=lambda item: (not item[0].isdigit(), item[0].zfill(4))))


def _configuration(folder: Path, checkpoint: str) -> str:
    """Return the name of the configuration, from nnU-Net's folder name or else from the first checkpoint."""
    parts = folder.name.split("__")
    if len(parts) == 3:
        return parts[2]
    bundle = folder / _BUNDLE_CHECKPOINT
    path = bundle if bundle.is_file() else next(iter(_weights_below(folder, checkpoint).values()))
    return load_checkpoint(path).configuration


def _search(folder: Path, name: str) -> Iterator[Path]:
    """Yield the files with a name in a folder and a few levels below."""
    for depth in range(_DEPTH):
        yield from folder.glob("*/" * depth + name)


def _unpack(source: Path, target: Path) -> None:
    """Unpack the needed files; a member that would be written outside the target stops everything."""
    try:
        unpack(source, target, lambda name: Path(name).name in _WANTED or name.endswith(".safetensors"))
    except UnreadableArchiveError as error:
        raise ModelError(f"{source.name}: {error.message}") from error
