"""How far measurements lie from known answers: spines of solids, turned, shifted against the grid, with worn surfaces.

python benchmarks/measurement_uncertainty.py [--trials 8] [--out cspine/measurements/uncertainty.csv]

Each trial turns a spine whose dimensions are known and images it at several distances of slices, shifted by a random
share of a voxel. A smooth random displacement of the labels (root mean square 0.4 mm, correlated over 5 mm) stands for
the surface error of a network. The table has the root mean square difference for each quantity and distance of slices.
The answer follows from the dimensions; for Hounsfield units, disc heights and volumes from labels without error at
0.5 mm.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cspine.core.geometry import Grid, resample_linear, to_index, to_lps
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.measurements.quantities import QUANTITIES, quantity
from cspine.measurements.spine import measure_spine
from cspine.study.synthesis.known_spine import KnownSpine, known_spine, known_values

SPACINGS = ((0.6, 0.6, 0.6), (0.6, 0.6, 1.0), (0.8, 0.8, 1.5), (0.8, 0.8, 2.0), (1.0, 1.0, 3.0), (1.0, 1.0, 4.0))
FINE_MM = 0.5
SURFACE_ERROR_MM, CORRELATION_MM = 0.4, 5.0
TRABECULAR_HU, CORTICAL_HU, TISSUE_HU, NOISE_HU, SHELL_MM = 250.0, 800.0, 40.0, 25.0, 1.2
#: Trabecular bone is not alike everywhere: standard deviation and correlation of its density.
TEXTURE_HU, TEXTURE_MM = 60.0, 2.0
TURN_DEG = 8.0

Values = dict[tuple[str, str], float]


def imaged(labels: LabelVolume, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return Hounsfield units of the labels: a cortical shell about trabecular bone with texture, in soft tissue."""
    depth = ndimage.distance_transform_edt(labels.labels_zyx > 0, sampling=FINE_MM).astype(np.float32)
    noise = rng.normal(size=depth.shape).astype(np.float32)
    texture = ndimage.gaussian_filter(noise, TEXTURE_MM / FINE_MM)
    trabecular = TRABECULAR_HU + texture / texture.std() * TEXTURE_HU
    hu = np.where(depth == 0, TISSUE_HU, np.where(depth < SHELL_MM, CORTICAL_HU, trabecular))
    return hu.astype(np.float32)


def scanned(hu_zyx: NDArray[np.float32], fine: Grid, grid: Grid, rng: np.random.Generator) -> CtVolume:
    """Return a CT on a coarser grid: averaged over its voxels, with noise."""
    sigma = [0.4 * step / FINE_MM for step in reversed(grid.spacing_xyz)]
    blurred = ndimage.gaussian_filter(hu_zyx - TISSUE_HU, sigma)
    hu = resample_linear(blurred, fine, grid) + TISSUE_HU + rng.normal(0, NOISE_HU, grid.shape_zyx)
    return CtVolume(np.rint(hu).astype(np.int16), grid.affine_lps)


def worn(labels: LabelVolume, grid: Grid, rng: np.random.Generator) -> LabelVolume:
    """Return labels on another grid, displaced by a smooth random field."""
    z, y, x = np.meshgrid(*(np.arange(n) for n in grid.shape_zyx), indexing="ij")
    points = to_lps(grid.affine_lps, np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1).astype(float))
    sigma = [CORRELATION_MM / step for step in reversed(grid.spacing_xyz)]
    for axis in range(3):
        field = ndimage.gaussian_filter(rng.normal(size=grid.shape_zyx), sigma)
        points[:, axis] += (field / field.std() * SURFACE_ERROR_MM).ravel()
    index_zyx = np.rint(to_index(labels.affine_lps, points)[:, ::-1]).astype(int).T
    inside = np.all([(i >= 0) & (i < n) for i, n in zip(index_zyx, labels.grid.shape_zyx, strict=True)], axis=0)
    found = np.zeros(len(points), dtype=np.uint8)
    found[inside] = labels.labels_zyx[tuple(index_zyx[:, inside])]
    return LabelVolume(found.reshape(grid.shape_zyx), grid.affine_lps)


def values_of(labels: LabelVolume, ct: CtVolume) -> Values:
    """Return every measured value by site and quantity."""
    return {(each.site, each.quantity.name): each.value for each in measure_spine(labels, ct).values}


def answers(spine: KnownSpine, labels: LabelVolume, hu_zyx: NDArray[np.float32]) -> Values:
    """Return the known answers, and what labels without error give where there is no formula."""
    return values_of(labels, CtVolume(hu_zyx, labels.affine_lps)) | known_values(spine)


def run(trials: int) -> dict[tuple[str, float], list[float]]:
    """Return the differences from the answers by quantity and distance of slices."""
    differences: dict[tuple[str, float], list[float]] = defaultdict(list)
    for trial in range(trials):
        rng = np.random.default_rng(trial)
        pitches = np.cumsum(rng.uniform(-2, 7, 8)) * (np.arange(8) > 1)
        spine = replace(known_spine(tuple(pitches)), rotation_deg=tuple(rng.normal(0, TURN_DEG, 3)))
        fine = spine.draw(spine.grid((FINE_MM,) * 3))
        hu_zyx = imaged(fine, rng)
        exact = answers(spine, fine, hu_zyx)
        for spacing in SPACINGS:
            grid = spine.grid(spacing, tuple(rng.uniform(0, 1, 3)))
            found = values_of(worn(fine, grid, rng), scanned(hu_zyx, fine.grid, grid, rng))
            for key in exact.keys() & found.keys():
                differences[key[1], max(spacing)].append(found[key] - exact[key])
            print(f"trial {trial} {spacing}: {len(found)} of {len(exact)} values", flush=True)
    return differences


def rows(differences: Mapping[tuple[str, float], list[float]]) -> list[tuple[str, str, str, str]]:
    """Return the rows of the table: quantity, spacing, root mean square, mean difference."""
    table = []
    for each in QUANTITIES:
        for spacing in (max(spacing) for spacing in SPACINGS):
            found = np.array(differences.get((each.name, spacing), []))
            if found.size:
                digits = quantity(each.name).digits + 1
                rms, bias = np.sqrt(np.mean(found**2)), found.mean()
                table.append((each.name, f"{spacing:g}", f"{rms:.{digits}f}", f"{bias:.{digits}f}"))
    return table


def main() -> None:
    """Run the trials, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    table = rows(run(options.trials))
    for row in table:
        print("{:<28}{:>6} mm  rms {:>9}  mean {:>9}".format(*row))
    if options.out is not None:
        with options.out.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("quantity", "spacing_mm", "uncertainty"))
            writer.writerows(row[:3] for row in table)


if __name__ == "__main__":
    main()
