"""Puts the shipped packages of `models/` into the wheel, as cspine/models/shipped; all else is in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = ("cervical-demo", "full-spine-demo")


class BuildWithModels(build_py):
    """Copy the shipped models beside the modules; an editable install finds them in the checkout."""

    def run(self) -> None:
        """Build, then copy."""
        super().run()
        if self.editable_mode:
            return
        for source, target in self._models():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """Return the files of the build, models included."""
        return [*super().get_outputs(include_bytecode), *(str(target) for _, target in self._models())]

    def _models(self) -> list[tuple[Path, Path]]:
        root, build = Path("models"), Path(self.build_lib) / "cspine" / "models" / "shipped"
        files = [path for name in SHIPPED for path in sorted((root / name).rglob("*")) if path.is_file()]
        records = [path for name in SHIPPED for path in sorted(root.glob(f"{name}.*.json"))]
        return [(path, build / path.relative_to(root)) for path in (*files, *records)]


setup(cmdclass={"build_py": BuildWithModels})
