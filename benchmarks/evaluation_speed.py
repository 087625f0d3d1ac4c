"""Time of `cspine evaluate`'s metrics on one large case, beside MONAI, MedPy and surface-distance.

    python benchmarks/evaluation_speed.py [--levels 25] [--sample 3] [--shape 300 512 512]

The case is synthetic: bodies, arches and processes of a complete column, and a prediction with another surface. cspine
compares all levels of both images, as `cspine evaluate` does once they are read; the others get the masks of a sample
of the levels, one by one (one-hot images of all levels would not fit into memory), and compute HD95 and ASSD. MedPy,
which does not crop, gets masks that were cut to their box. Prints CPU seconds per level, ratios and largest difference.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import ndimage

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

SPACING_XYZ = (0.5, 0.5, 1.5)


def case(shape: tuple[int, int, int], levels: int):
    """Return reference and prediction, each a LabelVolume."""
    from cspine.core.anatomy import VERTEBRAE
    from cspine.core.volumes import LabelVolume

    reference = np.zeros(shape, dtype=np.uint8)
    prediction = np.zeros(shape, dtype=np.uint8)
    height = shape[0] // levels
    rng = np.random.default_rng(0)
    z, y, x = np.meshgrid(np.arange(height), np.arange(220), np.arange(200), indexing="ij")
    y, x, z = (y - 70) * SPACING_XYZ[1], (x - 100) * SPACING_XYZ[0], (z - height / 2) * SPACING_XYZ[2]
    body = (x / 22) ** 2 + (y / 16) ** 2 <= 1
    ring = ((x / 20) ** 2 + ((y - 26) / 14) ** 2 <= 1) & ((x / 12) ** 2 + ((y - 26) / 8) ** 2 > 1)
    processes = ((np.abs(x) <= 3) & (y >= 38) & (y <= 72)) | ((np.abs(x) <= 46) & (np.abs(y - 26) <= 5))
    vertebra = (body | ring | processes) & (np.abs(z) <= (height / 2 - 1.5) * SPACING_XYZ[2])
    depth = ndimage.distance_transform_edt(vertebra) - ndimage.distance_transform_edt(~vertebra)
    for place, level in enumerate(VERTEBRAE[:levels]):
        bumps = ndimage.gaussian_filter(rng.standard_normal(vertebra.shape), (1, 4, 4)) * 12
        box = (slice(shape[0] - (place + 1) * height, shape[0] - place * height), slice(150, 370), slice(156, 356))
        reference[box][vertebra] = level.label
        prediction[box][depth + bumps > 0.3] = level.label
    affine = np.diag([*SPACING_XYZ, 1.0])
    return LabelVolume(reference, affine), LabelVolume(prediction, affine)


def by_monai(reference: np.ndarray, found: np.ndarray, spacing: tuple[float, ...]) -> tuple[float, float]:
    """HD95 and ASSD by MONAI."""
    import torch
    from monai.metrics.hausdorff_distance import compute_hausdorff_distance
    from monai.metrics.surface_distance import compute_average_surface_distance

    pair = [torch.from_numpy(mask[None, None]).float() for mask in (found, reference)]
    common = {"include_background": True, "spacing": list(spacing)}
    hd95 = compute_hausdorff_distance(*pair, percentile=95, **common)
    return float(hd95), float(compute_average_surface_distance(*pair, symmetric=True, **common))


def by_medpy(reference: np.ndarray, found: np.ndarray, spacing: tuple[float, ...]) -> tuple[float, float]:
    """HD95 (of both directions together) and ASSD by MedPy."""
    from medpy.metric import binary

    (box,) = ndimage.find_objects((reference | found).astype(np.uint8))
    reference, found = reference[box], found[box]
    return binary.hd95(found, reference, spacing), binary.assd(found, reference, spacing)


def by_surface_distance(reference: np.ndarray, found: np.ndarray, spacing: tuple[float, ...]) -> tuple[float, float]:
    """HD95 and mean of both directed averages by surface-distance, which weigh by area."""
    import surface_distance

    distances = surface_distance.compute_surface_distances(reference, found, spacing)
    average = surface_distance.compute_average_surface_distance(distances)
    return surface_distance.compute_robust_hausdorff(distances, 95), float(np.mean(average))


def main() -> None:
    """Run and print."""
    from cspine.core.anatomy import VERTEBRAE
    from cspine.study.evaluation.evaluation import compare

    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--levels", type=int, default=25)
    parser.add_argument("--sample", type=int, default=3)
    parser.add_argument("--shape", type=int, nargs=3, default=(300, 512, 512))
    given = parser.parse_args()
    reference, prediction = case(tuple(given.shape), given.levels)
    seconds = []
    for _ in range(3):
        begun = time.process_time()
        scores = {score.level: score for score in compare("case", reference, prediction, None).scores}
        seconds.append(time.process_time() - begun)
    ours = min(seconds) / given.levels
    print(f"{given.levels} levels, {' x '.join(map(str, given.shape))} voxels")
    print(
        f"{'cspine':18} {ours:8.3f} CPU s a level, {min(seconds):7.2f} s in all (every metric, levels, identification)"
    )
    spacing = reference.grid.spacing_xyz[::-1]
    chosen = [VERTEBRAE[i] for i in np.linspace(0, given.levels - 1, given.sample).astype(int)]
    others: dict[str, Callable[..., tuple[float, float]]] = {
        "MONAI": by_monai, "MedPy": by_medpy, "surface-distance": by_surface_distance,
    }  # fmt: skip
    for name, compute in others.items():
        compute(np.ones((3, 3, 3), bool), np.ones((3, 3, 3), bool), spacing)  # imports are not timed
        took, apart = 0.0, np.zeros(2)
        for level in chosen:
            masks = [volume.labels_zyx == level.label for volume in (reference, prediction)]
            begun = time.process_time()
            hd95, assd = compute(*masks, spacing)
            took += time.process_time() - begun
            score = scores[level.name]
            apart = np.maximum(apart, np.abs([hd95 - score.hd95_mm, assd - score.assd_mm]))
        each = took / len(chosen)
        print(
            f"{name:18} {each:8.3f} CPU s a level, {each / ours:5.1f} times as long;"
            f" HD95 differs by up to {apart[0]:.2g} mm, ASSD by {apart[1]:.2g} mm"
        )


if __name__ == "__main__":
    main()
