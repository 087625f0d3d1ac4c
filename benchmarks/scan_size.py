"""Time and memory of `cspine run`'s inference and cleaning on a CT that is resampled to a given number of voxels.

    python benchmarks/scan_size.py DICOM_FOLDER [--shape 300 512 512] [--model MODEL] [--runs 3] [--whole]

The field of view stays, the voxels become finer: what a scan with thinner slices and smaller pixels of the same patient
costs. Each run is a process of its own. Prints medians of the steps' wall times and of the peak resident memory.
With --whole the resampled CT is written as a DICOM series and the whole command is timed: start, reading, model, DICOM
Segmentation, picture.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def resampled(ct, shape: tuple[int, int, int]):
    """Return the volume with ``shape`` voxels (z, y, x) in the same field of view, linear between its voxels."""
    from scipy.ndimage import affine_transform

    from cspine.core.volumes import CtVolume

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
    from cspine.pipeline.segmentation import clean, predict

    ct = resampled(volume_of(folder), shape)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    begun = time.perf_counter()
    inference = predict(ct, load_package(model), InferenceSettings(device="cpu"))
    drawn = time.perf_counter()
    clean(inference, ct)
    seconds = {stage["name"]: sum(stage["seconds"].values()) for stage in inference.record["stages"]}
    seconds |= {"cleaning": time.perf_counter() - drawn, "all": time.perf_counter() - begun}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print("RESULT", json.dumps({"seconds": seconds, "peak_gib": peak, "image_gib": before}))


def write_series(folder: Path, shape: tuple[int, int, int], out: Path) -> None:
    """Write the resampled CT as a DICOM series."""
    from benchmarks.against_nnunet import volume_of
    from cspine.dicom.write_ct import CtSeriesDescription, write_ct_series

    write_ct_series(resampled(volume_of(folder), shape), out, CtSeriesDescription(uid_seed=f"scan size {shape}"))


def whole_run(series: Path, model: Path) -> dict[str, object]:
    """Run the command on a series as a process of its own; return seconds and peak memory."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "cspine", "-q", "run", str(series), out, "--model", str(model)]
        begun = time.perf_counter()
        started = subprocess.Popen([*command, "--device", "cpu"], stdout=subprocess.DEVNULL, cwd=ROOT)
        _, status, used = os.wait4(started.pid, 0)
        seconds = time.perf_counter() - begun
        if status:
            sys.exit(f"the run failed with status {status}")
        steps = json.loads((Path(out) / "report" / "summary.json").read_text())["timings_s"]
    return {"seconds": steps | {"all": seconds}, "peak_gib": used.ru_maxrss / 2**20}


def main() -> None:
    """Run several times and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shape", type=int, nargs=3, default=(300, 512, 512), metavar=("Z", "Y", "X"))
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "cervical-demo")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--whole", action="store_true", help="time the whole command on a DICOM series")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    shape = tuple(asked.shape)
    if asked.child:
        child(asked.folder, asked.model, shape)
        return
    size = [str(n) for n in shape]
    if asked.whole:
        with tempfile.TemporaryDirectory() as series:
            write_series(asked.folder, shape, Path(series))
            tell(size, [whole_run(Path(series), asked.model) for _ in range(asked.runs)])
        return
    command = [sys.executable, "-W", "ignore", __file__, str(asked.folder), "--model", str(asked.model)]
    results = []
    for _ in range(asked.runs):
        done = subprocess.run([*command, "--shape", *size, "--child"], capture_output=True, text=True, check=True)
        line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT"))
        results.append(json.loads(line.removeprefix("RESULT")))
    tell(size, results)


def tell(size: list[str], results: list) -> None:
    """Print the medians."""
    print(f"{' x '.join(size)} voxels, medians of {len(results)} runs")
    for step in results[0]["seconds"]:
        print(f"{step:12} {statistics.median(r['seconds'][step] for r in results):8.1f} s")
    print(f"{'peak memory':12} {statistics.median(r['peak_gib'] for r in results):8.2f} GiB")


if __name__ == "__main__":
    main()
