"""The example series cut to the neck and thinned out: a real job for the shipped model that takes seconds."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

import numpy as np

from cspine.core.geometry import Grid, make_affine, reorientation
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.dicom.read import read_volume
from cspine.dicom.scan import scan_folder
from cspine.dicom.write_ct import CtSeriesDescription, write_ct_series
from cspine.io.nifti import read_labels
from cspine.models.manifest import MANIFEST_NAME, manifest_text
from cspine.models.package import load_package

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
MODELS = EXAMPLES.parent / "models"
_CUT = (slice(8, 136), slice(24, 152, 2), slice(32, 152, 2))


def _thinned(array: np.ndarray, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    x, y, z = grid.spacing_xyz
    first = np.array([_CUT[2].start, _CUT[1].start, _CUT[0].start], dtype=float)
    origin = grid.affine_lps[:3, :3] @ first + grid.affine_lps[:3, 3]
    axes = grid.affine_lps[:3, :3] / np.array([x, y, z])
    return np.ascontiguousarray(array[_CUT]), make_affine(axes, (2 * x, 2 * y, z), origin)


@cache
def small_neck() -> tuple[CtVolume, LabelVolume]:
    """CT (128 x 64 x 60 voxels of 2 x 2 x 1.5 mm) and reference labels of the example."""
    ct = read_volume(scan_folder(EXAMPLES / "neck-ct").series[0])
    reference = read_labels(EXAMPLES / "neck-ct-labels.nii.gz")
    assert reference.grid.is_close(ct.grid, 0.01)
    return CtVolume(*_thinned(ct.hu_zyx, ct.grid)), LabelVolume(*_thinned(reference.labels_zyx, ct.grid))


def write_neck(folder: Path, description: CtSeriesDescription, orientation: str = "LPS") -> list[Path]:
    """Write the small neck as a series whose x, y and z axes point to ``orientation``."""
    ct, _ = small_neck()
    change = reorientation(ct.affine_lps, orientation)
    reoriented = CtVolume(np.ascontiguousarray(change.apply(ct.hu_zyx)), change.grid(ct.grid).affine_lps)
    return write_ct_series(reoriented, folder, description)


def write_neck_model(folder: Path) -> Path:
    """Write the first stage of the shipped model as a model of its own: one patch covers the small neck."""
    shipped = load_package(MODELS / "cervical-demo")
    stage = shipped.stages[0]
    shutil.copytree(stage.folder, folder / stage.manifest.folder)
    files = {name: digest for name, digest in shipped.manifest.files.items() if (folder / name).is_file()}
    manifest = shipped.manifest.model_copy(update={"stages": (stage.manifest,), "files": files})
    (folder / MANIFEST_NAME).write_text(manifest_text(manifest), encoding="utf-8")
    return folder
