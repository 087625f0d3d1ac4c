"""The manifest of a model package, `model.yaml`: the meaning and the allowed values of each field.

Only `model.yaml` is read here; `package` handles the folder around it.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from cspine.core.anatomy import parse_name
from cspine.core.errors import ModelError, UnsupportedOrientationError
from cspine.core.geometry import Affine, reorientation
from cspine.core.volumes import ModelIdentity
from cspine.io.documents import DocumentError, read_yaml

#: Name of the manifest within a package.
MANIFEST_NAME = "model.yaml"
#: Name of the model card within a package.
CARD_NAME = "README.md"
#: Meaning of a network label that is not a level ("T2 and below", ribs).
AUXILIARY = "auxiliary"

_SLUG = r"^[a-z0-9][a-z0-9._-]{0,63}$"
_SHA256 = re.compile(r"^[0-9a-f]{64}$")
_FOLD = re.compile(r"^(?:\d{1,3}|all)$")
_IDENTITY: Affine = np.eye(4)

Text = Annotated[str, Field(min_length=1, max_length=10_000)]


class StageManifest(BaseModel):
    """A network of a package, with the orientation of its array and the meaning of its labels.

    Parameters
    ----------
    name : str
        For example ``"locate"`` or ``"fine"``.
    folder : str
        Folder within the package with `plans.json`, `dataset.json` and `fold_N.safetensors`.
    configuration : str
        Configuration of the plans, for example ``"3d_fullres"``.
    trainer : str
        Name of the nnU-Net trainer; nothing of it is executed.
    mirror_axes : tuple of int
        Axes of the network's array that test-time mirroring may flip; empty if none.
    orientation : str
        Directions of the x, y, z axes of the network's image before `transpose_forward`, for example ``"LPS"``.
    folds : tuple of str
        ``"0"``, ``"1"`` ... or ``"all"``.
    labels : dict
        Network label (1 ..) to level (``"C1"``) or ``"auxiliary"``.
    margin_mm : float
        For a stage after the first: margin of its box around the vertebrae predicted before.
    field_of_view : str
        For the first stage: ``"image"`` for the whole image, as stock nnU-Net; ``"body"`` for the box of the patient.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=_SLUG)]
    folder: Annotated[str, Field(pattern=_SLUG)]
    configuration: Text
    trainer: Text
    mirror_axes: tuple[Annotated[int, Field(ge=0, le=2)], ...] = ()
    orientation: str
    folds: Annotated[tuple[str, ...], Field(min_length=1, max_length=100)]
    labels: Annotated[dict[int, str], Field(min_length=1, max_length=255)]
    margin_mm: Annotated[float, Field(ge=0, le=500)] = 20.0
    field_of_view: Literal["image", "body"] = "image"

    @field_validator("orientation")
    @classmethod
    def _known_orientation(cls, value: str) -> str:
        try:
            reorientation(_IDENTITY, value)
        except UnsupportedOrientationError as error:
            raise ValueError(error.message) from error
        return value.upper()

    @field_validator("mirror_axes", mode="after")
    @classmethod
    def _distinct_axes(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) != len(value):
            raise ValueError("each axis is named once")
        return value

    @field_validator("folds", mode="after")
    @classmethod
    def _known_folds(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [fold for fold in value if not _FOLD.match(fold)]
        if wrong or len(set(value)) != len(value):
            raise ValueError(f"folds must be distinct numbers or 'all': {', '.join(value)}")
        return value

    @field_validator("labels", mode="after")
    @classmethod
    def _known_labels(cls, value: dict[int, str]) -> dict[int, str]:
        if sorted(value) != list(range(1, len(value) + 1)):
            raise ValueError("network labels must be 1, 2, 3 ... without a gap; 0 is the background")
        levels: dict[int, str] = {}
        for label, name in sorted(value.items()):
            level = parse_name(name)
            if level is None and name != AUXILIARY:
                raise ValueError(f"label {label} is {name!r}, which is neither a level nor {AUXILIARY!r}")
            levels[label] = AUXILIARY if level is None else level.name
        named = [name for name in levels.values() if name != AUXILIARY]
        if not named or len(set(named)) != len(named):
            raise ValueError("at least one level is needed, and each level must have one network label")
        return levels

    @property
    def levels(self) -> tuple[str, ...]:
        """Names of the levels that the stage can predict, in the order of its labels."""
        return tuple(name for name in self.labels.values() if name != AUXILIARY)

    def weights_file(self, fold: str) -> str:
        """Return the path of the weights of a fold within the package."""
        return f"{self.folder}/fold_{fold}.safetensors"


class ModelManifest(BaseModel):
    """The content of `model.yaml`.

    Parameters
    ----------
    format : int
        Version of this schema: 2 with a ``split``, which earlier versions of cspine do not know, else 1.
    name : str
        Name by which the model is requested: lower-case letters, digits, ``. _ -``.
    version, title, licence, source, credit, intended_use, limits, training_data : str
        Texts for readers; ``title`` is one line.
    demonstration : bool
        True for a model that is marked DEMONSTRATION wherever its name appears.
    split : str or None
        Checksum of the split of the data set that the folds were trained on: the validation cases of each fold.
    stages : tuple of StageManifest
        Stages in the order in which they run.
    files : dict
        Path within the package (with ``/``) to SHA-256, for every file but the manifest; empty until it is written.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1, 2] = 1
    name: Annotated[str, Field(pattern=_SLUG)]
    version: Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+-]{0,31}$")]
    title: Annotated[str, Field(min_length=1, max_length=200)]
    licence: Text
    source: Text
    credit: Text
    intended_use: Text
    limits: Text
    training_data: Text
    demonstration: bool = False
    split: Annotated[str, Field(pattern=_SHA256.pattern)] | None = None
    stages: Annotated[tuple[StageManifest, ...], Field(min_length=1, max_length=10)]
    files: Annotated[dict[str, str], Field(max_length=10_000)] = {}

    @field_validator("files", mode="after")
    @classmethod
    def _inside_the_folder(cls, value: dict[str, str]) -> dict[str, str]:
        for name, digest in value.items():
            parts = PurePosixPath(name).parts
            if (
                not parts
                or name.startswith("/")
                or "\\" in name
                or ":" in name
                or ".." in parts
                or "\0" in name
                or name == MANIFEST_NAME
            ):
                raise ValueError(f"{name!r} is not a path within the package")
            if not _SHA256.match(digest):
                raise ValueError(f"the checksum of {name!r} is not a SHA-256")
        return value

    @model_validator(mode="after")
    def _stages_apart(self) -> ModelManifest:
        for attribute in ("name", "folder"):
            values = [getattr(stage, attribute) for stage in self.stages]
            if len(set(values)) != len(values):
                raise ValueError(f"two stages share a {attribute}")
        return self

    @model_validator(mode="after")
    def _format_of_a_split(self) -> ModelManifest:
        if (self.split is not None) != (self.format == 2):
            raise ValueError("a manifest with a split has format 2, one without has format 1")
        return self

    @property
    def identity(self) -> ModelIdentity:
        """Identity of the model; the checksum covers every field and, through ``files``, every file."""
        text = json.dumps(self.as_record(), sort_keys=True, ensure_ascii=True)
        digest = hashlib.sha256(text.encode("ascii")).hexdigest()
        return ModelIdentity(self.name, self.version, digest, self.demonstration)

    def as_record(self) -> dict[str, Any]:
        """Return the fields of `model.yaml`; without a split, those of format 1."""
        return self.model_dump(mode="json", exclude={"split"} if self.split is None else None)

    def needed_files(self) -> tuple[str, ...]:
        """Return the paths of the files that the stages need."""
        needed: list[str] = []
        for stage in self.stages:
            needed += [f"{stage.folder}/plans.json", f"{stage.folder}/dataset.json"]
            needed += [stage.weights_file(fold) for fold in stage.folds]
        return tuple(needed)


def read_manifest(path: Path) -> ModelManifest:
    """Return the checked manifest of a `model.yaml`.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    ModelError
        If it cannot be read or is invalid; the message names the field.
    """
    try:
        content = read_yaml(path)
    except OSError as error:
        raise ModelError(f"{path.name} cannot be read: {type(error).__name__}") from error
    except DocumentError as error:
        raise ModelError(f"{path.name} {error}") from error
    try:
        return ModelManifest.model_validate(content)
    except ValidationError as error:
        raise ModelError(f"{path.name}: {explain(error)}") from error


def manifest_text(manifest: ModelManifest) -> str:
    """Return the manifest as the text of a `model.yaml`.

    Parameters
    ----------
    manifest : ModelManifest
        The manifest.
    """
    content = manifest.as_record()
    for stage in content["stages"]:
        stage["labels"] = {int(label): name for label, name in stage["labels"].items()}
    return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110))


def explain(error: ValidationError) -> str:
    """Return a message with the first errors of a validation: field and reason.

    Parameters
    ----------
    error : pydantic.ValidationError
        The error, of which the first five faults are named.
    """
    faults = [f"{'.'.join(str(part) for part in e['loc']) or 'file'}: {e['msg']}" for e in error.errors()[:5]]
    return "; ".join(faults)
