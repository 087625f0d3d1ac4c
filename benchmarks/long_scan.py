"""Memory that the network's part takes on a long scan: 1200 slices of 512 x 512, 28 classes on a 2 mm grid.

    python -m benchmarks.long_scan            # slab by slab, as such a scan is run
    python -m benchmarks.long_scan --whole    # all logits at once

Run from the root of the repository: the network is a tiny one with random weights.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from cspine.core.anatomy import FULL_SPINE_LEVELS
from cspine.core.volumes import CtVolume
from cspine.inference import predict
from cspine.inference.settings import InferenceSettings
from tests.builders.nnunet_results import TinyModel


def main() -> None:
    """Print the peak memory and the seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--whole", action="store_true")
    if parser.parse_args().whole:
        predict.MAX_LOGITS_BYTES = 2**60
    names = ["background", *(level.name for level in FULL_SPINE_LEVELS), "sacrum"]
    model = TinyModel(labels={name: number for number, name in enumerate(names)}, patch=(64, 64, 64))
    rows = np.arange(512, dtype=np.int16)
    hu = np.broadcast_to(rows[:, None] - rows, (1200, 512, 512)).copy()
    affine = np.diag([1.0, 1.0, 0.6, 1.0])
    with tempfile.TemporaryDirectory() as folder:
        package = model.package(Path(folder) / "spine")
        begun = time.perf_counter()
        predict.segment(CtVolume(hu, affine), package, InferenceSettings("cpu", step_size=1.0))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{peak:.1f} GiB at the peak, {time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
