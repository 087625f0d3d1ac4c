"""Versions, imports of a run, rendering of text, and the SDK that only the application needs."""

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
from cspine.doctor.diagnostic import Diagnostic, Status, ok, run_check

_LIBRARIES = (
    "torch", "openvino", "nnunetv2", "monai", "numpy", "scipy", "pydicom", "highdicom", "SimpleITK", "safetensors",
    "matplotlib", "pylibjpeg", "pylibjpeg-libjpeg", "pylibjpeg-openjpeg", "pyjpegls",
)  # fmt: skip
_EXTRAS = {"cohort": ("ray", "pyarrow"), "service": ("pynetdicom", "dicomweb-client", "prometheus-client")}
_SDK = ("holoscan.core", "monai.deploy.core")
_SDK_S = 8.0
_REINSTALL = "Install cspine again: pip install --force-reinstall cspine."


def versions() -> list[Diagnostic]:
    """Check the versions of cspine, Python and the libraries, and the imports of a run."""
    return [
        ok("cspine", f"{cspine.__version__}, Python {platform.python_version()}, {platform.platform()}"),
        run_check("libraries", _libraries, _REINSTALL),
        run_check("imports", _imports, _REINSTALL),
        *(_extra(name, needed) for name, needed in _EXTRAS.items()),
    ]


def _libraries() -> Diagnostic:
    missing = [name for name in _LIBRARIES if _version(name) is None]
    if missing:
        return Diagnostic("libraries", Status.FAIL, f"not installed: {', '.join(missing)}", _REINSTALL)
    return ok("libraries", ", ".join(f"{name} {_version(name)}" for name in _LIBRARIES))


def _imports() -> Diagnostic:
    importlib.import_module("cspine.pipeline.study")
    return ok("imports", "all imports of a run succeed")


def _extra(name: str, needed: tuple[str, ...]) -> Diagnostic:
    found = {library: _version(library) for library in needed}
    if None in found.values():
        return ok(f"extra {name}", f"not installed; optional (pip install 'cspine[{name}]')")
    return ok(f"extra {name}", ", ".join(f"{library} {version}" for library, version in found.items()))


def _distribution(package: str) -> str:
    """Return the distribution that has a package; Holoscan's is named after its CUDA version."""
    return next(iter(metadata.packages_distributions().get(package, ())), package)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def rendering() -> Diagnostic:
    """Check that matplotlib can render text: the preview needs a font."""
    return run_check("rendering", _render, "Reinstall matplotlib, which contains the fonts.")


def _render() -> Diagnostic:
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
        return Diagnostic("rendering", Status.FAIL, "matplotlib cannot write PNG", "Reinstall matplotlib.")
    return ok("rendering", f"matplotlib works, font {font}")


class SdkProbe:
    """Imports the SDK in a process of its own, beside the other diagnostics: a broken one may end its process."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        lines = "; ".join(f"import {name}" for name in _SDK)
        with suppress(OSError):
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
                [sys.executable, "-c", lines], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )  # fmt: skip

    def result(self) -> Diagnostic:
        """Check the imports of the MONAI Deploy application; never a failure, because `cspine run` does not need it."""
        name = "MONAI Deploy"
        found = {lib: _version(lib) for lib in ("monai-deploy-app-sdk", _distribution("holoscan"))}
        if self._process is None or None in found.values():
            self._end()
            return ok(name, "not installed; only needed by the application (python -m app)")
        try:
            code = self._process.wait(_SDK_S)
        except subprocess.TimeoutExpired:
            self._end()
            return ok(name, f"unknown: the import took more than {_SDK_S:.0f} s; only needed by the application")
        seen = ", ".join(f"{library} {version}" for library, version in found.items())
        if code:
            text, advice = f"{seen}, import failed", "Only needed by the application: pip install 'cspine[app]'."
            return Diagnostic(name, Status.WARN, text, advice)
        return ok(name, f"{seen}; only needed by the application")

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
