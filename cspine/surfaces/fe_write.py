"""Write a finite-element model into a folder, with a report of its elements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cspine.core.anatomy import VERTEBRAE
from cspine.io.files import write_atomic
from cspine.io.output import ELEMENTS_REPORT
from cspine.io.own_files import OwnFiles
from cspine.surfaces import material, quality
from cspine.surfaces.fe_formats.abaqus import abaqus_text, compression_text
from cspine.surfaces.fe_formats.febio import febio_text
from cspine.surfaces.fe_formats.lsdyna import lsdyna_text
from cspine.surfaces.fe_formats.vtu import vtu_text
from cspine.surfaces.fe_model import FeModel, FePart
from cspine.surfaces.fe_settings import FeSettings
from cspine.surfaces.regions import ENDPLATE_INF, ENDPLATE_SUP

MODEL_FILE = "vertebrae"
#: Name of the input file of a compression test.
COMPRESSION_FILE = "{level}-compression.inp"
_TEXTS: dict[str, Callable[[FeModel, int], str]] = {
    "inp": abaqus_text,
    "feb": febio_text,
    "k": lsdyna_text,
    "vtu": vtu_text,
}


def model_files(folder: Path) -> OwnFiles:
    """Return the files that models of any levels and formats are in a folder, those of an earlier call included."""
    names = {f"{MODEL_FILE}.{file_format}" for file_format in _TEXTS}
    names.update(COMPRESSION_FILE.format(level=level.name) for level in VERTEBRAE)
    return OwnFiles(folder, ELEMENTS_REPORT, frozenset(names))


def write_model(model: FeModel, settings: FeSettings, folder: Path) -> Path:
    """Write vertebrae.inp and so on, compression tests if they are wanted, and elements.json.

    Files of an earlier call that this one does not write are removed.

    Parameters
    ----------
    model : FeModel
        The model.
    settings : FeSettings
        Formats, order of the elements, compression.
    folder : Path
        Folder of the files, which is created.

    Returns
    -------
    Path
        The report.

    Raises
    ------
    OutputNotEmptyError
        If the folder has a file of such a name that no earlier call wrote.
    OutputError
        If a file cannot be written.
    """
    pressed = {COMPRESSION_FILE.format(level=part.name): part for part in compressible(model) if settings.compression}
    names = [*(f"{MODEL_FILE}.{file_format}" for file_format in settings.formats), *pressed]
    files = model_files(folder)
    files.begin(names)
    for file_format in settings.formats:
        _write_text(folder / f"{MODEL_FILE}.{file_format}", _TEXTS[file_format](model, settings.order))
    for name, part in pressed.items():
        _write_text(folder / name, compression_text(part, settings.compression, settings.order))
    return files.finish(names, report_of(model, settings))


def compressible(model: FeModel) -> list[FePart]:
    """Return the complete vertebrae with two end plates.

    Parameters
    ----------
    model : FeModel
        The model.
    """
    plates = {ENDPLATE_SUP, ENDPLATE_INF}
    return [part for part in model.vertebrae if plates <= part.regions.keys() and not part.is_cut]


def report_of(model: FeModel, settings: FeSettings) -> dict[str, Any]:
    """Return the content of elements.json.

    Parameters
    ----------
    model : FeModel
        The model.
    settings : FeSettings
        What it was made with.
    """
    return {
        "units": "mm, N, MPa, tonne",
        "frame": "LPS",
        "edge_mm": settings.edge_mm,
        "order": settings.order,
        "gaps_mm": {"facets": settings.facet_gap_mm, "discs": settings.disc_gap_mm},
        "limits": {
            "min_scaled_jacobian": quality.MIN_SCALED_JACOBIAN,
            "poor_scaled_jacobian": quality.POOR_SCALED_JACOBIAN,
            "max_poor_percent": 100 * quality.MAX_POOR_SHARE,
        },
        "material": {
            "density_slope_g_cm3_per_hu": settings.density_line[0],
            "density_intercept_g_cm3": settings.density_line[1],
            "density_limits_g_cm3": [material.MIN_DENSITY, material.MAX_DENSITY],
            "modulus": f"{material.MODULUS_FACTOR:g} MPa * density ** {material.MODULUS_EXPONENT:g}",
            "from_hu": any(part.hu is not None for part in model.vertebrae),
        },
        "parts": [_row(part) for part in model.parts],
        "rejected": dict(model.rejected),
        "distances_mm": {f"{a}-{b}": round(distance, 3) for (a, b), distance in model.distances_mm.items()},
    }


def _row(part: FePart) -> dict[str, Any]:
    rounded = {
        key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(part.quality).items()
    }
    return {
        "name": part.name,
        **rounded,
        "is_acceptable": part.quality.is_acceptable,
        "is_cut": part.is_cut,
        "materials": len(part.materials),
        "density_limited_percent": round(100 * part.clipped_share, 2),
        "node_sets": {name: len(nodes) for name, nodes in part.node_sets.items()},
        "element_sets": {name: len(elements) for name, elements in part.element_sets.items()},
    }


def _write_text(path: Path, text: str) -> None:
    write_atomic(path, lambda partial: partial.write_text(text, encoding="ascii"))
