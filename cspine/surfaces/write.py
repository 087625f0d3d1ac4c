"""Write the surfaces of a label map into a folder, with a report of how well they keep to the labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cspine.io.tables import write_json
from cspine.surfaces.formats import SCENE, write_scene, write_surface
from cspine.surfaces.settings import DICOM, MAX_DISTANCE_VOXELS, MAX_VOLUME_CHANGE, SurfaceSettings
from cspine.surfaces.surface import is_closed
from cspine.surfaces.vertebrae import VertebraSurface

#: Names of the scene of all vertebrae, and of the report.
SCENE_FILE = f"vertebrae.{SCENE}"
REPORT_FILE = "surfaces.json"


def write_surfaces(found: Sequence[VertebraSurface], settings: SurfaceSettings, folder: Path) -> Path:
    """Write surfaces as files of every wanted format, and surfaces.json; DICOM objects are not written here.

    Parameters
    ----------
    found : sequence of VertebraSurface
        One a vertebra.
    settings : SurfaceSettings
        Formats and frame.
    folder : Path
        Folder of the files, which is created.

    Returns
    -------
    Path
        The report.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    for file_format in settings.formats:
        if file_format == SCENE:
            write_scene([each.surface for each in found], folder / SCENE_FILE, ras=settings.ras)
        elif file_format != DICOM:
            for each in found:
                name = f"{each.surface.vertebra.name}.{file_format}"
                write_surface(each.surface, file_format, folder / name, ras=settings.ras)
    write_json(folder / REPORT_FILE, report_of(found, settings))
    return folder / REPORT_FILE


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
