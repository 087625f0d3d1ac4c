"""Surfaces as files: STL, PLY, OBJ and GLB through trimesh, and VTP, VTK's XML format of polygons."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cspine.core.geometry import ras_to_lps
from cspine.io.files import write_atomic
from cspine.surfaces.surface import Points, Surface

if TYPE_CHECKING:
    import trimesh

#: The format that holds all vertebrae in one file.
SCENE = "glb"


def in_frame(points_lps: Points, *, ras: bool) -> Points:
    """Return points in RAS millimetres, or as they are in LPS; both frames are right-handed.

    Parameters
    ----------
    points_lps : ndarray, shape (n, 3)
        Millimetres in LPS.
    ras : bool
        True for RAS.
    """
    return points_lps @ ras_to_lps(np.eye(4))[:3, :3] if ras else points_lps


def write_surface(surface: Surface, file_format: str, path: Path, *, ras: bool = False) -> None:
    """Write one surface.

    Parameters
    ----------
    surface : Surface
        The surface.
    file_format : str
        ``stl`` (binary), ``ply`` (binary), ``obj`` or ``vtp``.
    path : Path
        File to write; it appears when complete.
    ras : bool
        Write RAS instead of LPS coordinates.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    data = surface_bytes(surface, file_format, ras=ras)
    write_atomic(path, lambda partial: partial.write_bytes(data))


def surface_bytes(surface: Surface, file_format: str, *, ras: bool = False) -> bytes:
    """Return the file of one surface as `write_surface` writes it; millimetres, single precision in STL and PLY.

    Parameters
    ----------
    surface : Surface
        The surface.
    file_format : str
        One of `FORMATS` that holds one surface, for example ``"stl"``.
    ras : bool
        True to write coordinates in RAS, False in LPS.
    """
    points = in_frame(surface.points_lps, ras=ras)
    if file_format == "vtp":
        return _vtp(points, surface.triangles)
    mesh: Any = _trimesh(points, surface)
    options: dict[str, Any] = {"header": f"{surface.vertebra.name}, millimetres"} if file_format == "obj" else {}
    exported = mesh.export(file_type=file_format, **options)
    return exported.encode("ascii") if isinstance(exported, str) else bytes(exported)


def write_scene(surfaces: Sequence[Surface], path: Path, *, ras: bool = False) -> None:
    """Write all surfaces as one GLB (glTF 2.0) with a named node and a colour each; coordinates as `write_surface`.

    glTF means metres; the file keeps the numbers of millimetres, as programs for medical images do.

    Parameters
    ----------
    surfaces : sequence of Surface
        The surfaces.
    path : Path
        File to write, ``.glb``.
    ras : bool
        True to write coordinates in RAS, False in LPS.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    import trimesh

    scene = trimesh.Scene()
    for surface in surfaces:
        mesh = _trimesh(in_frame(surface.points_lps, ras=ras), surface)
        mesh.visual = trimesh.visual.TextureVisuals(material=_material(surface))
        name = surface.vertebra.name
        scene.add_geometry(mesh, node_name=name, geom_name=name)
    write_atomic(path, lambda partial: partial.write_bytes(scene.export(file_type=SCENE)))


def _trimesh(points: Points, surface: Surface) -> trimesh.Trimesh:
    import trimesh

    return trimesh.Trimesh(points, surface.triangles, process=False)


def _material(surface: Surface) -> Any:
    from trimesh.visual.material import PBRMaterial

    return PBRMaterial(
        name=surface.vertebra.name,
        baseColorFactor=[*surface.vertebra.rgb, 255],
        metallicFactor=0.0,
        roughnessFactor=0.8,
    )


def _vtp(points: Points, triangles: NDArray[np.int64]) -> bytes:
    """Return VTK XML PolyData with inline binary arrays."""
    offsets = np.arange(1, len(triangles) + 1, dtype=np.int64) * 3
    lines = [
        '<?xml version="1.0"?>',
        '<VTKFile type="PolyData" version="1.0" byte_order="LittleEndian" header_type="UInt64">',
        f'<PolyData><Piece NumberOfPoints="{len(points)}" NumberOfPolys="{len(triangles)}">',
        f"<Points>{vtk_array('Points', points, components=3)}</Points>",
        f"<Polys>{vtk_array('connectivity', triangles.astype(np.int64))}{vtk_array('offsets', offsets)}</Polys>",
        "</Piece></PolyData></VTKFile>",
    ]
    return "\n".join(lines).encode("ascii")


_VTK_TYPES = {"float64": "Float64", "float32": "Float32", "int64": "Int64", "int32": "Int32", "uint8": "UInt8"}


def vtk_array(name: str, values: NDArray[Any], components: int = 1) -> str:
    """Return a DataArray element of VTK's XML formats with its values in base64.

    Parameters
    ----------
    name : str
        Name of the array.
    values : ndarray
        float64, float32, int64, int32 or uint8.
    components : int
        Components of a tuple.
    """
    data = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
    encoded = base64.b64encode(np.uint64(len(data)).astype("<u8").tobytes() + data).decode("ascii")
    of = f' NumberOfComponents="{components}"' if components > 1 else ""
    return f'<DataArray type="{_VTK_TYPES[values.dtype.name]}" Name="{name}"{of} format="binary">{encoded}</DataArray>'
