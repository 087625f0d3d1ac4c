"""Write the surfaces of a label map into a folder, with a report of how well they keep to the labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cspine.core.anatomy import VERTEBRAE, Vertebra
from cspine.io.output import SURFACE_OBJECT, SURFACES_REPORT
from cspine.io.own_files import OwnFiles
from cspine.surfaces.formats import SCENE, write_scene, write_surface
from cspine.surfaces.settings import DICOM, MAX_DISTANCE_VOXELS, MAX_VOLUME_CHANGE, SURFACE_FORMATS, SurfaceSettings
from cspine.surfaces.surface import is_closed
from cspine.surfaces.vertebrae import VertebraSurface

#: Name of the scene of all vertebrae.
SCENE_FILE = f"vertebrae.{SCENE}"


def surface_files(folder: Path) -> OwnFiles:
    """Return the files that surfaces of any levels and formats are in a folder, those of an earlier call included."""
    names = _names(VERTEBRAE, SURFACE_FORMATS)
    return OwnFiles(folder, SURFACES_REPORT, frozenset(names))


def write_surfaces(
    found: Sequence[VertebraSurface], settings: SurfaceSettings, folder: Path, *, with_objects: bool = False
) -> Path:
    """Write surfaces as files of every wanted format, and surfaces.json; DICOM objects are not written here.

    Files of an earlier call that this one does not write are removed.

    Parameters
    ----------
    found : sequence of VertebraSurface
        One a vertebra.
    settings : SurfaceSettings
        Formats and frame.
    folder : Path
        Folder of the files, which is created.
    with_objects : bool
        True where the caller writes the DICOM objects into the same folder.

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
    formats = [each for each in settings.formats if each != DICOM or with_objects]
    names, files = _names([each.surface.vertebra for each in found], formats), surface_files(folder)
    files.begin(names)
    for file_format in settings.formats:
        if file_format == SCENE:
            write_scene([each.surface for each in found], folder / SCENE_FILE, ras=settings.ras)
        elif file_format != DICOM:
            for each in found:
                write_surface(
                    each.surface, file_format, folder / _name(each.surface.vertebra, file_format), ras=settings.ras
                )
    return files.finish(names, report_of(found, settings))


def _names(levels: Iterable[Vertebra], formats: Iterable[str]) -> list[str]:
    return sorted({_name(level, file_format) for level in levels for file_format in formats})


def _name(level: Vertebra, file_format: str) -> str:
    if file_format == SCENE:
        return SCENE_FILE
    return SURFACE_OBJECT.format(level=level.name) if file_format == DICOM else f"{level.name}.{file_format}"


def report_of(found: Sequence[VertebraSurface], settings: SurfaceSettings) -> dict[str, Any]:
    """Return the content of surfaces.json.

    Parameters
    ----------
    found : sequence of VertebraSurface
        The surfaces.
    settings : SurfaceSettings
        What they were made with.
    """
    return {
        "units": "mm",
        "frame": settings.frame,
        "source": "labels",
        "gap_mm": settings.gap_mm,
        "limits": {"volume_change_percent": 100 * MAX_VOLUME_CHANGE, "distance_p95_voxels": MAX_DISTANCE_VOXELS},
        "vertebrae": [_row(each) for each in found],
    }


def _row(each: VertebraSurface) -> dict[str, Any]:
    surface, solid, fidelity = each.surface, each.solid, each.fidelity
    return {
        "level": surface.vertebra.name,
        "label": surface.vertebra.label,
        "points": len(surface.points_lps),
        "triangles": len(surface.triangles),
        "is_closed": is_closed(surface.triangles),
        "volume_mm3": round(fidelity.volume_mm3, 1),
        "label_volume_mm3": round(fidelity.label_volume_mm3, 1),
        "volume_change_percent": round(100 * fidelity.volume_change, 3),
        "distance_mean_voxels": round(fidelity.distance_mean_voxels, 3),
        "distance_p95_voxels": round(fidelity.distance_p95_voxels, 3),
        "distance_max_voxels": round(fidelity.distance_max_voxels, 3),
        "is_within_limits": each.is_within_limits,
        "smoothings": each.smoothings,
        "omitted_mm3": round(solid.omitted_mm3, 1),
        "filled_mm3": round(solid.filled_mm3, 1),
        "touches_edge": solid.touches_edge,
    }
