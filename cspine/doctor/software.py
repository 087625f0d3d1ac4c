"""Versions, libraries that a run imports, drawing, and the SDK that only the application needs."""

from __future__ import annotations

import importlib
import io
import platform
import subprocess
import sys
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import cspine
from cspine.doctor.check import Diagnosis, Readiness, looked_at, ok

_LIBRARIES = (
    "torch", "nnunetv2", "monai", "numpy", "scipy", "pydicom", "highdicom", "SimpleITK", "safetensors", "matplotlib",
    "pylibjpeg", "pylibjpeg-libjpeg", "pylibjpeg-openjpeg", "pyjpegls",
)  # fmt: skip
_EXTRAS = {"cohort": ("ray", "pyarrow"), "service": ("pynetdicom", "dicomweb-client", "prometheus-client")}
_SDK = ("holoscan.core", "monai.deploy.core")
_SDK_S = 8.0
_REINSTALL = "Install cspine again: pip install --force-reinstall cspine."


def versions() -> list[Diagnosis]:
    """Return the versions of cspine, Python and the libraries, and whether what a run imports can be imported."""
    return [
        ok("cspine", f"{cspine.__version__}, Python {platform.python_version()}, {platform.platform()}"),
        looked_at("libraries", _libraries, _REINSTALL),
        looked_at("imports", _imports, _REINSTALL),
        *(_extra(name, needed) for name, needed in _EXTRAS.items()),
    ]


def _libraries() -> Diagnosis:
    missing = [name for name in _LIBRARIES if _version(name) is None]
    if missing:
        return Diagnosis("libraries", Readiness.FAIL, f"not installed: {', '.join(missing)}", _REINSTALL)
    return ok("libraries", ", ".join(f"{name} {_version(name)}" for name in _LIBRARIES))


def _imports() -> Diagnosis:
    importlib.import_module("cspine.pipeline.study")
    return ok("imports", "all that a run needs")


def _extra(name: str, needed: tuple[str, ...]) -> Diagnosis:
    found = {library: _version(library) for library in needed}
    if None in found.values():
        return ok(f"extra {name}", f"not installed; `cspine run` needs none of it (pip install 'cspine[{name}]')")
    return ok(f"extra {name}", ", ".join(f"{library} {version}" for library, version in found.items()))


def _distribution(package: str) -> str:
    """Return the distribution that has a package; Holoscan's is named after its CUDA version."""
    return next(iter(metadata.packages_distributions().get(package, ())), package)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def drawing() -> Diagnosis:
    """Return whether matplotlib can draw words: the preview needs a font."""
    return looked_at("pictures", _draw, "Reinstall matplotlib: its package brings the fonts.")


def _draw() -> Diagnosis:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties, fontManager

    font = Path(fontManager.findfont(FontProperties(), fallback_to_default=False)).stem
    figure = Figure(figsize=(1, 1))
    FigureCanvasAgg(figure)
    figure.text(0.1, 0.5, "C1")
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    if not picture.getvalue().startswith(b"\x89PNG"):
        return Diagnosis("pictures", Readiness.FAIL, "matplotlib draws no PNG", "Reinstall matplotlib.")
    return ok("pictures", f"matplotlib draws, font {font}")


class SdkProbe:
    """Imports the SDK in a process of its own, beside the other checks: a broken one may end its process."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        lines = "; ".join(f"import {name}" for name in _SDK)
        with suppress(OSError):
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
                [sys.executable, "-c", lines], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )  # fmt: skip

    def result(self) -> Diagnosis:
        """Return whether the MONAI Deploy application can start; never a failure, for `cspine run` needs none of it."""
        name, found = (
            "MONAI Deploy",
            {lib: _version(lib) for lib in ("monai-deploy-app-sdk", _distribution("holoscan"))},
        )
        if self._process is None or None in found.values():
            self._end()
            return ok(name, "not installed; only the application (python -m app) needs it")
        try:
            code = self._process.wait(_SDK_S)
        except subprocess.TimeoutExpired:
            self._end()
            return ok(name, f"not known: its import took more than {_SDK_S:.0f} s; only the application needs it")
        seen = ", ".join(f"{library} {version}" for library, version in found.items())
        if code:
            text, advice = f"{seen}, cannot be imported", "Only the application needs it: pip install 'cspine[app]'."
            return Diagnosis(name, Readiness.WARN, text, advice)
        return ok(name, f"{seen}; only the application needs it")

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
