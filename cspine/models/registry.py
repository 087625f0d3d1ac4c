"""Where model packages are looked for, and which one a name means.

Nothing here reads the environment: callers say which folders count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cspine
from cspine.core.errors import ModelError, ModelNotFoundError
from cspine.models.manifest import MANIFEST_NAME, ModelManifest, read_manifest

#: The model that a run takes where none is asked for.
DEFAULT_MODEL = "cervical-demo"


@dataclass(frozen=True)
class FoundModel:
    """A package that was found, its checksums not yet compared.

    Parameters
    ----------
    folder : Path
        Its folder.
    manifest : ModelManifest or None
        None where `model.yaml` cannot be used.
    fault : str
        Why it cannot be used; empty otherwise.
    """

    folder: Path
    manifest: ModelManifest | None
    fault: str = ""

    @property
    def name(self) -> str:
        """Name of the manifest, or of the folder where there is none."""
        return self.manifest.name if self.manifest else self.folder.name


def user_folder(environment: Mapping[str, str], home: Path) -> Path:
    """Return the folder where a user's models are installed.

    Parameters
    ----------
    environment : mapping
        The process's environment: ``XDG_DATA_HOME`` counts.
    home : Path
        The user's home folder.
    """
    data = environment.get("XDG_DATA_HOME", "")
    return (Path(data) if data and Path(data).is_absolute() else home / ".local" / "share") / "cspine" / "models"


def shipped_folder() -> Path | None:
    """Return the folder of the models that come with cspine, or None where none came.

    In an installed wheel it lies within the package; in a checkout it is `models/` at the root.
    """
    package = Path(cspine.__file__).resolve().parent
    inside, checkout = package / "models" / "shipped", package.parent / "models"
    if inside.is_dir():
        return inside
    return checkout if checkout.is_dir() and (package.parent / "pyproject.toml").is_file() else None


def search_path(environment: Mapping[str, str], home: Path, first: Path | None = None) -> tuple[Path, ...]:
    """Return the folders of models in the order in which they count.

    Parameters
    ----------
    environment, home
        As `user_folder`.
    first : Path, optional
        A folder that goes before all others: what the container calls HOLOSCAN_MODEL_PATH.
    """
    shipped = shipped_folder()
    return tuple(place for place in (first, user_folder(environment, home), shipped) if place is not None)


def list_models(places: Sequence[Path]) -> list[FoundModel]:
    """Return every package of the folders, one a name: the first folder wins.

    Parameters
    ----------
    places : sequence of Path
        Folders of packages; each may be a package itself. Those that do not exist are skipped.
    """
    found: dict[str, FoundModel] = {}
    for place in places:
        for folder in _packages(place):
            model = _look(folder)
            found.setdefault(model.name, model)
    return list(found.values())


def find_model(wanted: str | Path | None, places: Sequence[Path], pointed_to: Path | None = None) -> Path:
    """Return the folder of the package that a user means.

    Parameters
    ----------
    wanted : str or Path, optional
        A name, or a folder with a `model.yaml`. Where it is left out: the only package of ``pointed_to``, or the model
        called `DEFAULT_MODEL` where nothing was pointed to.
    places : sequence of Path
        Folders of packages, first come first served.
    pointed_to : Path, optional
        The folder that the caller was told to take models from (HOLOSCAN_MODEL_PATH). No other is taken instead: a
        wrong mount must not end in a demonstration.

    Raises
    ------
    ModelNotFoundError
        If there is none, or not one alone; the message names those that are there.
    """
    if wanted is not None:
        folder = Path(wanted)
        if (folder / MANIFEST_NAME).is_file():
            return folder
        if isinstance(wanted, Path) or len(folder.parts) > 1:
            raise ModelNotFoundError(f"{folder.name} is not a folder with a {MANIFEST_NAME}")
    elif pointed_to is not None:
        there = _packages(pointed_to)
        if len(there) != 1:
            names = ", ".join(folder.name for folder in there) or "none"
            raise ModelNotFoundError(f"the model folder holds {names}; one model package is needed")
        return there[0]
    name = DEFAULT_MODEL if wanted is None else str(wanted)
    models = list_models(places)
    for model in models:
        if model.name == name:
            if model.manifest is None:
                raise ModelError(f"model {name}: {model.fault}")
            return model.folder
    installed = ", ".join(sorted(model.name for model in models)) or "none"
    raise ModelNotFoundError(f"no model is called {name!r}; installed: {installed}")


def model_to_run(
    wanted: str | None, environment: Mapping[str, str], home: Path, pointed_to: Path | None = None
) -> Path:
    """Return the folder of the model that a run takes, in a container and outside; errors as `find_model`.

    Parameters
    ----------
    wanted : str, optional
        Name or folder. Left out: the only model of HOLOSCAN_MODEL_PATH where that is set, else `DEFAULT_MODEL`.
    environment, home
        As `user_folder`; HOLOSCAN_MODEL_PATH counts too.
    pointed_to : Path, optional
        A folder of models that goes before HOLOSCAN_MODEL_PATH.
    """
    pointed_to = pointed_to or container_folder(environment)
    return find_model(wanted, search_path(environment, home, pointed_to), pointed_to)


def container_folder(environment: Mapping[str, str]) -> Path | None:
    """Return the folder of models that a container names (HOLOSCAN_MODEL_PATH), or None."""
    named = environment.get("HOLOSCAN_MODEL_PATH")
    return Path(named) if named else None


def _packages(place: Path) -> list[Path]:
    if (place / MANIFEST_NAME).is_file():
        return [place]
    if not place.is_dir():
        return []
    return sorted(path.parent for path in place.glob(f"*/{MANIFEST_NAME}") if not path.parent.name.startswith("."))


def _look(folder: Path) -> FoundModel:
    try:
        return FoundModel(folder, read_manifest(folder / MANIFEST_NAME))
    except ModelError as error:
        return FoundModel(folder, None, error.message)
