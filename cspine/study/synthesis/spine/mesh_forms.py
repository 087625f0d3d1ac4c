"""Forms from the surface meshes of an anatomical atlas (BodyParts3D has C1..T8); solids make the rest."""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cspine.core.anatomy import VERTEBRAE, Region, Vertebra, vertebra
from cspine.core.errors import AtlasError
from cspine.io.documents import read_csv
from cspine.study.synthesis.meshes import Mesh, fill, read_obj
from cspine.study.synthesis.spine.dimensions import dimensions
from cspine.study.synthesis.spine.forms import Form, SpineForms, parametric_forms
from cspine.study.synthesis.spine.solids import Field

_log = logging.getLogger(__name__)

_MARGIN_MM = 12.0
_STEP_MM = 0.5
_ORDINALS = (
    *("first", "second", "third", "fourth", "fifth", "sixth"),
    *("seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth"),
)
_BONE = re.compile(rf"^({'|'.join(_ORDINALS)}) (cervical|thoracic|lumbar) vertebra$")
_DISC = re.compile(rf"^intervertebral disk of (axis|(?:{'|'.join(_ORDINALS)}) (?:cervical|thoracic|lumbar) vertebra)$")


def mesh_forms(folder: Path, cache: Path | None = None) -> SpineForms:
    """Return forms made from meshes.

    Parameters
    ----------
    folder : Path
        It, or its ``meshes/``, holds ``INDEX.csv`` (file, name) and the OBJ files: x to the left, y to the back, z up,
        millimetres.
    cache : Path, optional
        Cache folder of the forms.

    Returns
    -------
    SpineForms
        The levels that have a mesh, with the discs that tell where each body lies; thoracic levels below the last
        mesh are that one scaled to their published sizes; what is left is made of simple solids.

    Raises
    ------
    AtlasError
        If the folder has no index, a mesh is damaged or not closed, or C1..C7 and T1 are not all there.
    """
    folder = _with_index(folder)
    names = _index(folder)
    kept = cache / f"spine-forms-{meshes_checksum(folder)[:16]}.npz" if cache is not None else None
    if kept is not None and kept.is_file():
        with np.load(kept, allow_pickle=False) as fields:
            measured = {
                int(label): Form(
                    fields[f"{label}"],
                    tuple(fields[f"{label}-low"].tolist()),
                    *(float(v) for v in fields[f"{label}-reach"]),
                )
                for label in fields["labels"]
            }
    else:
        _log.info("turning the meshes of the atlas into forms: up to a minute")
        measured = _measured_forms(folder, names)
        if kept is not None:
            _keep(measured, kept)
    forms = dict(parametric_forms().forms) | measured
    last = VERTEBRAE[max(VERTEBRAE.index(vertebra(label)) for label in measured)]
    for level in VERTEBRAE[VERTEBRAE.index(last) + 1 :]:
        if level.region is Region.THORACIC and last.region is Region.THORACIC:
            forms[level.label] = _resized(measured[last.label], last, level)
    return SpineForms(f"meshes of {len(measured)} vertebrae", forms)


def _index(folder: Path) -> dict[str, Path]:
    path = folder / "INDEX.csv"
    try:
        names = {row["name"].strip().lower(): folder / row["file"] for row in read_csv(path)[1]}
    except (OSError, ValueError) as error:
        raise AtlasError(f"no usable INDEX.csv in {folder}", advice="Give the folder of the atlas's meshes.") from error
    except KeyError as error:
        raise AtlasError("INDEX.csv needs the columns file and name") from error
    wanted = {"atlas", "axis", "third cervical vertebra", "seventh cervical vertebra", "first thoracic vertebra"}
    if not wanted <= names.keys():
        raise AtlasError(f"INDEX.csv does not list: {', '.join(sorted(wanted - names.keys()))}")
    return names


def _with_index(folder: Path) -> Path:
    return folder / "meshes" if (folder / "meshes" / "INDEX.csv").is_file() else folder


def meshes_checksum(folder: Path) -> str:
    """Return the SHA-256 of the meshes in a folder, or in its ``meshes/``; AtlasError where there are none."""
    folder = _with_index(folder)
    names = _index(folder)
    digest = hashlib.sha256(b"1" + (folder / "INDEX.csv").read_bytes())
    for path in sorted(names.values()):
        digest.update(path.read_bytes() if path.is_file() else b"absent")
    return digest.hexdigest()


def _keep(forms: dict[int, Form], path: Path) -> None:
    fields: dict[str, NDArray[np.generic]] = {"labels": np.array(sorted(forms))}
    for label, form in forms.items():
        fields[f"{label}"] = form.distance_mm
        fields[f"{label}-low"] = np.array(form.low_xyz)
        fields[f"{label}-reach"] = np.array([form.above_mm, form.below_mm])
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, **fields)  # type: ignore[arg-type]
    partial.replace(path)


def _measured_forms(folder: Path, names: dict[str, Path]) -> dict[int, Form]:
    return {
        bone.label: _form(mesh.moved(frame.origin_mm, frame.axes), frame.above_mm, frame.below_mm, bone)
        for bone, (mesh, frame) in _framed(names).items()
    }


@dataclass(frozen=True, eq=False)
class Frame:
    """Frame of a vertebra in the atlas: x to the left, y to the back, z to the head along the spine.

    Parameters
    ----------
    origin_mm : ndarray, shape (3,)
        Middle of the body.
    axes : ndarray, shape (3, 3)
        Columns: the frame's x, y and z axes.
    above_mm, below_mm : float
        From the origin along the spine to the middle of the disc above and below.
    """

    origin_mm: NDArray[np.float64]
    axes: NDArray[np.float64]
    above_mm: float
    below_mm: float


def atlas_vertebrae(folder: Path) -> dict[Vertebra, tuple[Mesh, Frame]]:
    """Return the vertebrae of the atlas that have a frame: each mesh, in the atlas's millimetres, with it.

    Raises
    ------
    AtlasError
        As `mesh_forms`.
    """
    return _framed(_index(_with_index(folder)))


def _framed(names: dict[str, Path]) -> dict[Vertebra, tuple[Mesh, Frame]]:
    bones: dict[Vertebra, Mesh] = {}
    discs: dict[str, NDArray[np.float64]] = {}
    for name, path in names.items():
        level = _level_of(name)
        disc = _DISC.match(name)
        if level is not None:
            bones[level] = read_obj(path)
        elif disc is not None:
            upper = vertebra("C2") if disc[1] == "axis" else _level_of(disc[1])
            assert upper is not None
            discs[upper.name] = read_obj(path).corners.mean(axis=0)
    framed = {}
    for bone, mesh in bones.items():
        frame = _frame(bone, discs)
        if frame is None:
            _log.info("%s: no disc beside it in the atlas, made of solids", bone.name)
            continue
        framed[bone] = mesh, Frame(*frame)
    return framed


def _level_of(name: str) -> Vertebra | None:
    if name in ("atlas", "axis"):
        return vertebra("C1" if name == "atlas" else "C2")
    match = _BONE.match(name)
    return vertebra(f"{match[2][0].upper()}{_ORDINALS.index(match[1]) + 1}") if match else None


def _frame(
    level: Vertebra, discs: dict[str, NDArray[np.float64]]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float, float] | None:
    """Return the origin, axes (columns x, y, z) and reach above and below of a level, from the discs beside it."""
    if level.name in ("C1", "C2"):
        if not {"C2", "C3"} <= discs.keys():
            return None
        up = _unit(discs["C2"] - discs["C3"])
        axes = _axes(up)
        size = dimensions(vertebra("C2"))
        below = size.disc / 2 + 7.5
        if level.name == "C2":
            return discs["C2"] + below * up, axes, 14.0, below
        return discs["C2"] + (below + 22.0) * up, axes, 10.0, 8.0
    above_name = VERTEBRAE[VERTEBRAE.index(level) - 1].name
    if above_name in discs and level.name in discs:
        top, bottom = discs[above_name], discs[level.name]
        half = float(np.linalg.norm(top - bottom)) / 2
        return (top + bottom) / 2, _axes(_unit(top - bottom)), half, half
    higher = VERTEBRAE[VERTEBRAE.index(level) - 2].name
    if above_name in discs and higher in discs:  # the last level: as its neighbour above stands
        up = _unit(discs[higher] - discs[above_name])
        size = dimensions(level)
        half = (size.height + size.disc) / 2
        return discs[above_name] - half * up, _axes(up), half, half
    return None


def _unit(direction: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(direction / np.linalg.norm(direction), dtype=np.float64)


def _axes(up: NDArray[np.float64]) -> NDArray[np.float64]:
    back = np.array([0.0, 1.0, 0.0])
    back = _unit(back - (back @ up) * up)
    return np.stack([np.cross(back, up), back, up], axis=1)


def _form(mesh: Mesh, above: float, below: float, level: Vertebra) -> Form:
    low = np.floor(mesh.corners.min(axis=0) - _MARGIN_MM)
    high = np.ceil(mesh.corners.max(axis=0) + _MARGIN_MM)
    shape = tuple(int(n) for n in np.round((high - low) / _STEP_MM)[::-1] + 1)
    inside = fill((mesh.corners - low) / _STEP_MM, mesh.triangles, shape)
    if not inside.any():
        raise AtlasError(f"the mesh of {level.name} encloses nothing")
    distance = np.where(
        inside, ndimage.distance_transform_edt(inside) - 0.5, 0.5 - ndimage.distance_transform_edt(~inside)
    )
    every = round(1 / _STEP_MM)
    field = (distance * _STEP_MM)[::every, ::every, ::every].astype(np.float32)
    return Form(field, (float(low[0]), float(low[1]), float(low[2])), above, below)


def _resized(form: Form, source: Vertebra, target: Vertebra) -> Form:
    """Return the form of another thoracic level: scaled to its published width, depth and height."""
    old, new = dimensions(source), dimensions(target)
    factors = np.array([new.width / old.width, new.depth / old.depth, new.height / old.height])
    shape = np.array(form.distance_mm.shape[::-1])
    low = np.floor(np.array(form.low_xyz) * factors)
    count = np.ceil((shape - 1) * factors).astype(int) + 1
    axes = [(low[i] + np.arange(count[i])) / factors[i] - form.low_xyz[i] for i in range(3)]
    where = np.meshgrid(axes[2], axes[1], axes[0], indexing="ij")
    field: Field = ndimage.map_coordinates(form.distance_mm, where, order=1, mode="nearest").astype(np.float32)
    size = float(np.cbrt(np.prod(factors)))
    half = (new.height + new.disc) / 2
    return Form(field * np.float32(size), (float(low[0]), float(low[1]), float(low[2])), half, half)
