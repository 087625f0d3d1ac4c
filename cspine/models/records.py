"""Records about a model package that lie outside it: the package itself, with its checksums, is not changed.

A record lies beside the folder of the package, or among the user's files if that place is read-only; those of the
shipped packages also count for their copies elsewhere. It names the checksum of the package, and counts nothing for
another version.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from cspine.core.errors import OutputError
from cspine.io.documents import DocumentError, read_json
from cspine.io.files import write_atomic
from cspine.io.machine import home_folder
from cspine.models.package import ModelPackage
from cspine.models.registry import shipped_folder, user_folder


class PackageRecord(BaseModel):
    """What was measured of a package.

    Parameters
    ----------
    checksum : str
        Checksum of the package.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: The file is ``NAME.KIND.json``.
    kind: ClassVar[str]

    checksum: str

    @classmethod
    def read(
        cls, package: ModelPackage, environment: Mapping[str, str] = os.environ, home: Path | None = None
    ) -> Self | None:
        """Return the record of a package, or None if there is none for this version of it.

        Parameters
        ----------
        package : ModelPackage
            The package.
        environment, home
            As for `registry.user_folder`.
        """
        shipped = shipped_folder()
        known = () if shipped is None else (shipped / cls._name(package),)
        for path in (*cls._places(package, environment, home), *known):
            try:
                record = cls.model_validate(read_json(path))
            except (OSError, DocumentError, ValidationError):
                continue
            if record.checksum == package.identity.checksum:
                return record
        return None

    def write(
        self, package: ModelPackage, environment: Mapping[str, str] = os.environ, home: Path | None = None
    ) -> Path:
        """Write the record of a package, beside it or else with the user's models, and return where.

        Parameters
        ----------
        package : ModelPackage
            The package.
        environment : mapping of str to str
            Environment variables, which may name the user's folders.
        home : Path, optional
            Home folder of the user; that of this process if omitted.

        Raises
        ------
        OutputError
            If neither place can be written.
        """
        text = json.dumps(self.model_dump(mode="json"), indent=1) + "\n"
        reason = ""
        for path in self._places(package, environment, home):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(path, lambda partial: partial.write_text(text, encoding="utf-8"))
            except (OSError, OutputError) as error:
                reason = str(error)
                continue
            return path
        raise OutputError(f"the {self.kind} of {package.identity.name} cannot be written: {reason}")

    @classmethod
    def _places(cls, package: ModelPackage, environment: Mapping[str, str], home: Path | None) -> tuple[Path, Path]:
        """Return where the record may lie: beside the package, else with the user's models."""
        name = cls._name(package)
        return package.folder.parent / name, user_folder(environment, home or home_folder()) / name

    @classmethod
    def _name(cls, package: ModelPackage) -> str:
        return f"{package.manifest.name}.{cls.kind}.json"
