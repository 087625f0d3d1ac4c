"""Find model packages by name on a search path.

Nothing here reads the process environment: callers pass it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cspine
from cspine.core.errors import ModelError, ModelNotFoundError
from cspine.io.foreign import require_possible_path
from cspine.models.manifest import MANIFEST_NAME, ModelManifest, read_manifest

#: The model that a run uses if none is requested.
DEFAULT_MODEL = "cervical-demo"


@dataclass(frozen=True)
class FoundModel:
    """A package on the search path, whose checksums are not verified yet.

    Parameters
    ----------
    folder : Path
        Its folder.
    manifest : ModelManifest or None
        None if `model.yaml` is invalid.
    fault : str
        Why it is invalid; empty otherwise.
    """

    folder: Path
    manifest: ModelManifest | None
    fault: str = ""

    @property
    def name(self) -> str:
        """Name in the manifest, or of the folder without one."""
        return self.manifest.name if self.manifest else self.folder.name


def user_folder(environment: Mapping[str, str], home: Path) -> Path:
    """Return the folder in which the models of a user are installed.

    Parameters
    ----------
    environment : mapping
        Environment of the process; ``XDG_DATA_HOME`` is used.
    home : Path
        The user's home folder.
    """
    data = environment.get("XDG_DATA_HOME", "")
    return (Path(data) if data and Path(data).is_absolute() else home / ".local" / "share") / "cspine" / "models"


def shipped_folder() -> Path | None:
    """Return the folder of the models that ship with cspine, or None if there is none.

    In an installed wheel it is within the package; in a checkout it is `models/` at the root.
    """
    package = Path(cspine.__file__).resolve().parent
    inside, checkout = package / "models" / "shipped", package.parent / "models"
    if inside.is_dir():
        return inside
    return checkout if checkout.is_dir() and (package.parent / "pyproject.toml").is_file() else None


def search_path(environment: Mapping[str, str], home: Path, first: Path | None = None) -> tuple[Path, ...]:
    """Return the folders of models in the order of precedence.

    Parameters
    ----------
    environment, home
        As `user_folder`.
    first : Path, optional
        A folder that precedes all others: HOLOSCAN_MODEL_PATH in a container.
    """
    shipped = shipped_folder()
    return tuple(root for root in (first, user_folder(environment, home), shipped) if root is not None)


def list_models(folders: Sequence[Path]) -> list[FoundModel]:
    """Return the packages of the folders, one for each name; the first folder takes precedence.

    Parameters
    ----------
    folders : sequence of Path
        Folders of packages; each may be a package itself. Those that do not exist are skipped.
    """
    found: dict[str, FoundModel] = {}
    for root in folders:
        for folder in _packages(root):
            model = _look(folder)
            found.setdefault(model.name, model)
    return list(found.values())


def find_model(wanted: str | Path | None, folders: Sequence[Path], pointed_to: Path | None = None) -> Path:
    """Return the folder of the package that a user requests.

    Parameters
    ----------
    wanted : str or Path, optional
        A name, or a folder with a `model.yaml`. If omitted: the only package of ``pointed_to``, or the model called
        `DEFAULT_MODEL` without ``pointed_to``.
    folders : sequence of Path
        Folders of packages in the order of precedence.
    pointed_to : Path, optional
        The folder that the environment names (HOLOSCAN_MODEL_PATH). There is no fallback to another folder: a wrong
        mount must not lead to a demonstration model.

    Raises
    ------
    ModelNotFoundError
        If there is none, or more than one; the message names those that exist.
    """
    if wanted is not None:
        folder = Path(wanted)
        require_possible_path(folder / MANIFEST_NAME)
        if (folder / MANIFEST_NAME).is_file():
            return folder
        if isinstance(wanted, Path) or len(folder.parts) > 1:
            raise ModelNotFoundError(f"{folder.name} is not a folder with a {MANIFEST_NAME}")
    elif pointed_to is not None:
        there = _packages(pointed_to)
        if len(there) != 1:
            names = ", ".join(folder.name for folder in there) or "none"
            raise ModelNotFoundError(f"the model folder contains {names}; exactly one model package is needed")
        return there[0]
    name = DEFAULT_MODEL if wanted is None else str(wanted)
    models = list_models(folders)
    for model in models:
        if model.name == name:
            if model.manifest is None:
                raise ModelError(f"model {name}: {model.fault}")
            return model.folder
    installed = ", ".join(sorted(model.name for model in models)) or "none"
    raise ModelNotFoundError(f"there is no model {name!r}; installed: {installed}")


def model_to_run(
    wanted: str | None, environment: Mapping[str, str], home: Path, pointed_to: Path | None = None
) -> Path:
    """Return the folder of the model that a run uses, in a container or outside; errors as `find_model`.

    Parameters
    ----------
    wanted : str, optional
        Name or folder. If omitted: the only model of HOLOSCAN_MODEL_PATH if that is set, else `DEFAULT_MODEL`.
    environment, home
        As `user_folder`; HOLOSCAN_MODEL_PATH is used, too.
    pointed_to : Path, optional
        A folder of models that takes precedence over HOLOSCAN_MODEL_PATH.
    """
    pointed_to = pointed_to or container_folder(environment)
    return find_model(wanted, search_path(environment, home, pointed_to), pointed_to)


def container_folder(environment: Mapping[str, str]) -> Path | None:
    """Return the folder of models that the environment of a container names (HOLOSCAN_MODEL_PATH), or None.

    Parameters
    ----------
    environment : mapping of str to str
        Environment variables.
    """
    named = environment.get("HOLOSCAN_MODEL_PATH")
    return Path(named) if named else None


def _packages(root: Path) -> list[Path]:
    if (root / MANIFEST_NAME).is_file():
        return [root]
    if not root.is_dir():
        return []
    return sorted(path.parent for path in root.glob(f"*/{MANIFEST_NAME}") if not path.parent.name.startswith("."))


def _look(folder: Path) -> FoundModel:
    try:
        return FoundModel(folder, read_manifest(folder / MANIFEST_NAME))
    except ModelError as error:
        return FoundModel(folder, None, error.message)
