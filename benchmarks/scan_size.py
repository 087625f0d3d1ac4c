"""Time and memory of `cspine run`'s inference and cleaning on a CT that is resampled to a given number of voxels.

    python benchmarks/scan_size.py DICOM_FOLDER [--shape 300 512 512] [--model models/cervical-demo] [--runs 3]

The field of view stays, the voxels become finer: what a scan with thinner slices and smaller pixels of the same patient
costs. Each run is a process of its own. Prints medians of the steps' wall times and of the peak resident memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def resampled(ct, shape: tuple[int, int, int]):
    """Return the volume with ``shape`` voxels (z, y, x) in the same field of view, linear between its voxels."""
    from scipy.ndimage import affine_transform

    from cspine.volumes import CtVolume

    factors = np.array(ct.hu_zyx.shape) / np.array(shape)
    first = 0.5 * factors - 0.5
    hu = affine_transform(ct.hu_zyx, factors, offset=first, output_shape=shape, order=1, mode="nearest")
    affine = ct.affine_lps.copy()
    affine[:3, :3] = ct.affine_lps[:3, :3] * factors[::-1]
    affine[:3, 3] += ct.affine_lps[:3, :3] @ first[::-1]
    return CtVolume(hu, affine)


def child(folder: Path, model: Path, shape: tuple[int, int, int]) -> None:
    """Run once; print seconds and peak memory as JSON."""
    from benchmarks.against_nnunet import volume_of
    from cspine.inference.settings import InferenceSettings
    from cspine.models.package import load_package
    from cspine.segmentation import clean, draw

    ct = resampled(volume_of(folder), shape)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    begun = time.perf_counter()
    inference = draw(ct, load_package(model), InferenceSettings(device="cpu"))
    drawn = time.perf_counter()
    clean(inference, ct)
    seconds = {stage["name"]: sum(stage["seconds"].values()) for stage in inference.record["stages"]}
    seconds |= {"cleaning": time.perf_counter() - drawn, "all": time.perf_counter() - begun}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print("RESULT", json.dumps({"seconds": seconds, "peak_gib": peak, "image_gib": before}))


def main() -> None:
    """Run several times and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shape", type=int, nargs=3, default=(300, 512, 512), metavar=("Z", "Y", "X"))
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "cervical-demo")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    shape = tuple(asked.shape)
    if asked.child:
        child(asked.folder, asked.model, shape)
        return
    size = [str(n) for n in shape]
    command = [sys.executable, "-W", "ignore", __file__, str(asked.folder), "--model", str(asked.model)]
    results = []
    for _ in range(asked.runs):
        done = subprocess.run([*command, "--shape", *size, "--child"], capture_output=True, text=True, check=True)
        line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT"))
        results.append(json.loads(line.removeprefix("RESULT")))
    print(f"{' x '.join(size)} voxels, medians of {asked.runs} runs")
    for step in results[0]["seconds"]:
        print(f"{step:12} {statistics.median(r['seconds'][step] for r in results):8.1f} s")
    print(f"{'peak memory':12} {statistics.median(r['peak_gib'] for r in results):8.2f} GiB")


if __name__ == "__main__":
    main()
