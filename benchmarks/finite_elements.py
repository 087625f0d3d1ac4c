"""Compression of vertebrae in CalculiX at several edge lengths: elements, seconds, failures, convergence.

python benchmarks/finite_elements.py LABELS CT [--levels C3-C7] [--edges 3 2 1.5 1] [--orders 1 2] [--ccx ccx]
"""

from __future__ import annotations

import argparse
import re
import resource
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from cspine.api import read_ct
from cspine.core.anatomy import parse_levels
from cspine.pipeline.labelled import read_labelled
from cspine.surfaces.fe_formats.abaqus import compression_text, endplate_distance
from cspine.surfaces.fe_model import FePart, build_model
from cspine.surfaces.fe_settings import FeSettings
from cspine.surfaces.fe_write import compressible

_PERCENT = 1.0
_FORCE = re.compile(r"total force.*\n\s*\n?\s*([-+.\dE]+)\s+([-+.\dE]+)\s+([-+.\dE]+)")


@dataclass(frozen=True)
class Compression:
    """The result of a compression test.

    Parameters
    ----------
    stiffness_n_mm : float or None
        Force along the axis over the displacement; None if the solver failed.
    seconds : float
        Processor time of the solver.
    """

    stiffness_n_mm: float | None
    seconds: float


def compress(part: FePart, order: int, folder: Path, ccx: str) -> Compression:
    """Run the compression test of a vertebra in CalculiX.

    Parameters
    ----------
    part : FePart
        A vertebra with two end plates.
    order : int
        Order of the elements.
    folder : Path
        Where the solver writes.
    ccx : str
        The program.
    """
    job = f"{part.name}-{order}"
    (folder / f"{job}.inp").write_text(compression_text(part, _PERCENT, order), encoding="ascii")
    began = _children_seconds()
    done = subprocess.run([ccx, job], cwd=folder, capture_output=True, text=True, check=False)
    seconds = _children_seconds() - began
    results = folder / f"{job}.dat"
    found = _FORCE.search(results.read_text()) if results.exists() else None
    if done.returncode or found is None or "*ERROR" in done.stdout or part.frame is None:
        return Compression(None, seconds)
    force = -sum(float(value) * axis for value, axis in zip(found.groups(), part.frame.up, strict=True))
    return Compression(float(force) / (endplate_distance(part) * _PERCENT / 100), seconds)


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Print a row for each vertebra, edge length and order."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("labels", type=Path)
    parser.add_argument("ct", type=Path)
    parser.add_argument("--levels", default="C3-C7")
    parser.add_argument("--edges", type=float, nargs="+", default=[3.0, 2.0, 1.5, 1.0])
    parser.add_argument("--orders", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--ccx", default=shutil.which("ccx") or "ccx")
    options = parser.parse_args()
    labels, ct = read_labelled(options.labels).labels, read_ct(options.ct)
    print("| level | edge mm | order | elements | min. SJ | below 0.2 % | mesh CPU s | solve CPU s | N/mm |")
    print("|---|---|---|---|---|---|---|---|---|")
    failures = 0
    for edge in options.edges:
        began = time.process_time()
        model = build_model(labels, ct, FeSettings(edge_mm=edge, levels=parse_levels(options.levels)))
        each = (time.process_time() - began) / len(model.vertebrae)
        failures += len(model.rejected)
        for order in options.orders:
            for part in compressible(model):
                with tempfile.TemporaryDirectory() as folder:
                    result = compress(part, order, Path(folder), options.ccx)
                failures += result.stiffness_n_mm is None
                stiffness = "failed" if result.stiffness_n_mm is None else f"{result.stiffness_n_mm:.0f}"
                quality = part.quality
                print(
                    f"| {part.name} | {edge:g} | {order} | {quality.elements} | {quality.min_scaled_jacobian:.2f} "
                    f"| {100 * quality.poor_share:.2f} | {each:.1f} | {result.seconds:.1f} | {stiffness} |",
                    flush=True,
                )
    print(f"\n{failures} failures")


if __name__ == "__main__":
    main()
