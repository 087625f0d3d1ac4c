"""Install a trained model, as its authors publish it, as a model package."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from cspine.core.anatomy import parse_name
from cspine.core.errors import (
    LabelMapNeededError,
    OrientationNeededError,
    UnsupportedModelError,
    UsageError,
)
from cspine.io.documents import DocumentError, read_yaml
from cspine.models.manifest import MANIFEST_NAME, ModelManifest, explain, read_manifest
from cspine.models.package import ModelPackage, load_package
from cspine.models.package_writer import StageContent, write_package, written_beside
from cspine.models.plans import Json, NetworkPlan, read_plan
from cspine.models.sources import CHECKPOINTS, TrainedModel, find_package, find_trained, open_source, read_trained

#: Orientation of the images that these readers of nnU-Net return; all others keep the stored orientation.
READER_ORIENTATIONS = {"SimpleITKIOWithReorient": "RAS", "NibabelIOWithReorient": "RAS"}

_NOT_STATED = "Not stated at installation."
_STAGE = "segment"


@dataclass(frozen=True)
class InstallOptions:
    """What a user states about a model at installation; omitted values come from the files of the model.

    Parameters
    ----------
    name : str, optional
        Name of the package; the name of the data set if omitted.
    labels : mapping, optional
        Network label (number or name in dataset.json) to level or ``"auxiliary"``.
    orientation : str, optional
        Three letters, required if the reader of the model keeps the stored orientation.
    folds : tuple of str, optional
        Folds to install.
    configuration : str, optional
        Configuration to install if the source has several.
    checkpoint : str
        Checkpoint of each fold: ``"final"``, ``"best"`` or ``"latest"``.
    force : bool
        Replace an installed package of the same name.
    is_ct : bool
        The network was trained on CT, although `dataset.json` names its channel otherwise.
    statements : mapping
        Other fields of the manifest: version, title, licence, source, credit, intended_use, limits, training_data.
    """

    name: str | None = None
    labels: Mapping[int | str, str] | None = None
    orientation: str | None = None
    folds: tuple[str, ...] | None = None
    configuration: str | None = None
    checkpoint: Literal["final", "best", "latest"] = "final"
    force: bool = False
    is_ct: bool = False
    statements: Mapping[str, str] = field(default_factory=dict)


def install(source: Path, into: Path, options: InstallOptions) -> ModelPackage:
    """Install a model from an nnU-Net v2 results folder, an exported zip, a MONAI bundle or a cspine package.

    Parameters
    ----------
    source : Path
        Folder or zip.
    into : Path
        Folder of packages, in which the new one gets a folder of its name.
    options : InstallOptions
        Information that the files lack.

    Returns
    -------
    ModelPackage

    Raises
    ------
    UnsafeCheckpointError
        If a checkpoint contains more than tensors and plain values.
    UnsupportedModelError
        If the network is not supported, or was not trained on CT.
    LabelMapNeededError, OrientationNeededError
        If the files of the model do not contain enough information.
    ModelExistsError
        If a package of this name exists.
    ModelError
        If the source contains no model or is otherwise invalid.
    """
    with open_source(source) as folder:
        package = find_package(folder)
        if package is not None:
            return _copy_package(package, into, options)
        if options.checkpoint not in CHECKPOINTS:
            raise UsageError(f"there is no checkpoint {options.checkpoint!r}: give one of {', '.join(CHECKPOINTS)}")
        found = find_trained(folder, options.configuration, options.checkpoint)
        trained = read_trained(found, options.folds, options.checkpoint)
        plan = read_plan(trained.plans, trained.dataset, trained.checkpoint.configuration, trained.checkpoint.trainer)
        if not options.is_ct:
            _require_ct(trained.dataset)
        manifest = _manifest(trained, plan, source.name, options)
        content = StageContent(trained.plans, trained.dataset, trained.weights)
        return write_package(into / manifest.name, manifest, {_STAGE: content}, replace=options.force)


def read_label_map(path: Path) -> dict[int | str, str]:
    """Return the mapping of network labels (numbers or names) to levels or ``"auxiliary"`` from a YAML file.

    Parameters
    ----------
    path : Path
        The YAML file.

    Raises
    ------
    UsageError
        If the file cannot be read or contains something else.
    """
    try:
        content = read_yaml(path)
    except OSError as error:
        raise UsageError(f"{path.name} cannot be read ({type(error).__name__})") from error
    except DocumentError as error:
        raise UsageError(f"{path.name} {error}") from error
    if not isinstance(content, dict) or not all(
        isinstance(key, (int, str)) and isinstance(value, str) for key, value in content.items()
    ):
        raise UsageError(f"{path.name} does not map labels to levels: for example 'T2 and below: auxiliary'")
    return content


def labels_of(plan: NetworkPlan, given: Mapping[int | str, str] | None) -> dict[int, str]:
    """Return the level, or ``"auxiliary"``, of each network label.

    Parameters
    ----------
    plan : NetworkPlan
        Plan with the label names of `dataset.json`.
    given : mapping, optional
        Network label (number or name) to level; it takes precedence over the names.

    Raises
    ------
    LabelMapNeededError
        If a name is neither recognised nor given.
    UsageError
        If ``given`` names a label that the model does not have.
    """
    stated = dict(given or {})
    labels: dict[int, str] = {}
    unknown: list[str] = []
    for label, name in plan.label_names.items():
        value = stated.pop(label, None) or stated.pop(name, None)
        stated.pop(name, None)
        if value is not None:
            labels[label] = value
        elif (level := parse_name(name)) is not None:
            labels[label] = level.name
        else:
            unknown.append(f"{label} ({name})")
    if unknown:
        raise LabelMapNeededError(f"labels not recognised as vertebrae: {', '.join(unknown)}")
    surplus = [str(key) for key in stated if key not in (0, "background")]
    if surplus:
        raise UsageError(f"the model has no label {', '.join(surplus)}")
    return labels


def orientation_of_reader(plan: NetworkPlan, given: str | None) -> str:
    """Return the orientation of the network's image.

    Parameters
    ----------
    plan : NetworkPlan
        Plan with the name of the reader.
    given : str, optional
        Orientation stated by the user; it must not contradict the reader.

    Raises
    ------
    OrientationNeededError
        If the reader keeps the stored orientation and none was given.
    UsageError
        If the reader and ``given`` differ.
    """
    known = READER_ORIENTATIONS.get(plan.reader)
    if known is None:
        if given is None:
            raise OrientationNeededError(
                f"{plan.reader or 'the reader'} keeps the stored orientation of images, which is not known"
            )
        return given.upper()
    if given is not None and given.upper() != known:
        raise UsageError(f"{plan.reader} reorients images to {known}, not to {given.upper()}")
    return known


def _require_ct(dataset: Json) -> None:
    """Refuse a channel with another name than CT, by which nnU-Net chooses the normalisation of CT."""
    channels = dataset["modality"] if "modality" in dataset else dataset["channel_names"]
    (channel,) = channels.values()
    if str(channel).strip().casefold() != "ct":
        raise UnsupportedModelError(
            f"dataset.json names the channel {channel!r:.100}, not CT",
            advice="cspine segments CT. If it was trained on CT in Hounsfield units all the same, set `is_ct`.",
        )


def _manifest(trained: TrainedModel, plan: NetworkPlan, source_name: str, options: InstallOptions) -> ModelManifest:
    checkpoint = trained.checkpoint
    name = options.name or re.sub(r"[^a-z0-9._-]+", "-", plan.dataset_name.lower()).strip("-._")
    values = {
        "version": "1",
        "title": f"{plan.dataset_name}, {checkpoint.configuration}",
        "licence": _NOT_STATED,
        "source": f"{trained.kind}: {source_name}",
        "credit": str(trained.dataset.get("reference") or _NOT_STATED),
        "intended_use": "Research use only; not a medical device.",
        "limits": _NOT_STATED,
        "training_data": str(trained.dataset.get("description") or plan.dataset_name),
        **options.statements,
    }
    stage = {
        "name": _STAGE,
        "folder": _STAGE,
        "configuration": checkpoint.configuration,
        "trainer": checkpoint.trainer,
        "mirror_axes": checkpoint.mirror_axes,
        "orientation": orientation_of_reader(plan, options.orientation),
        "folds": tuple(trained.weights),
        "labels": labels_of(plan, options.labels),
    }
    try:
        return ModelManifest.model_validate({"name": name, "stages": [stage], **values})
    except ValidationError as error:
        raise UsageError(f"the manifest would be invalid: {explain(error)}") from error


def _copy_package(package: Path, into: Path, options: InstallOptions) -> ModelPackage:
    manifest = read_manifest(package / MANIFEST_NAME)
    stated = (options.labels, options.orientation, options.folds, options.configuration, options.statements)
    if any(stated) or options.is_ct or options.checkpoint != "final":
        raise UsageError("the source is already a model package; only `name` and `force` apply")
    if options.name not in (None, manifest.name):
        raise UsageError(f"the name of package {manifest.name} cannot be changed")
    load_package(package)
    target = into / manifest.name
    with written_beside(target, replace=options.force) as work:
        for name in (MANIFEST_NAME, *manifest.files):
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(package / name, work / name)
    return load_package(target)
