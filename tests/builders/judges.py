"""External judges of DICOM objects: dciodvfy (dicom3tools) and dcmqi's reader of segmentations."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from cspine.core.geometry import Grid, resample_labels


def tool(name: str) -> str:
    """Return the path of an external program; the test is skipped where it is not installed."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def dciodvfy_errors(path: Path) -> list[str]:
    """Return the lines in which dciodvfy reports an error."""
    done = subprocess.run([tool("dciodvfy"), str(path)], capture_output=True, text=True, errors="replace", check=False)
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]


def dcmqi_labels(path: Path, folder: Path, grid: Grid) -> dict[str, np.ndarray]:
    """Read a segmentation with dcmqi; return a mask on the grid for each segment label."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [tool("segimage2itkimage"), "--inputDICOM", str(path), "--outputDirectory", str(folder)]
    subprocess.run([*command, "--outputType", "nrrd", "--prefix", "s"], check=True, capture_output=True)
    segments = [s for group in json.loads((folder / "s-meta.json").read_text())["segmentAttributes"] for s in group]
    # A Label Map Segmentation comes as one file that holds every segment.
    together = len(list(folder.glob("s-*.nrrd"))) < len(segments)
    masks = {}
    for segment in segments:
        label = int(segment["labelID"])
        array, stored = _read_nrrd(folder / ("s-1.nrrd" if together else f"s-{label}.nrrd"))
        mask = array == label if together else array > 0
        masks[segment["SegmentLabel"]] = resample_labels(mask.astype(np.uint8), stored, grid) > 0
    return masks


def _read_nrrd(path: Path) -> tuple[np.ndarray, Grid]:
    image = SimpleITK.ReadImage(str(path))
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    array = SimpleITK.GetArrayFromImage(image)
    z, y, x = array.shape
    return array, Grid((z, y, x), affine)
