"""Time of one patch by engine and precision, beside the roof of the processor: a measured product of matrices.

    python -m benchmarks.engines [--json FILE] [--runs 3] [--shipped] [--device cuda]

The networks are the two stages of the shipped model, and nnU-Net's standard one of 31 million (random) weights with
patches of 128^3 voxels (left out with --shipped). Engines take turns in one process. Labels are compared with those of
torch in float32: the share of voxels with the same winner.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.common import ROOT, alternate, parser, publish, table
from benchmarks.standard_model import cached_package

#: Engines and precisions by device; the first is the one that others are compared with.
CHOICES = {
    "cpu": (("torch", "float32"), ("torch", "bfloat16"), ("openvino", "float32"), ("openvino", "bfloat16")),
    "cuda": (("torch", "float32"), ("torch", "auto"), ("torch", "bfloat16")),
}


def flop_of(architecture: Any, patch: tuple[int, ...]) -> float:
    """Return the multiplications and additions of the convolutions of a PlainConvUNet for a patch."""
    given = architecture.arguments
    features, strides = given["features_per_stage"], given["strides"]
    total, voxels, before, sizes = 0.0, math.prod(patch), architecture.channels, []
    for stage, (count, stride) in enumerate(zip(features, strides, strict=True)):
        voxels //= math.prod(stride)
        kernel = math.prod(given["kernel_sizes"][stage])
        for _ in range(given["n_conv_per_stage"][stage]):
            total += 2 * voxels * kernel * before * count
            before = count
        sizes.append(voxels)
    for step, repeats in enumerate(given["n_conv_per_stage_decoder"]):
        stage = len(features) - 2 - step
        kernel, count = math.prod(given["kernel_sizes"][stage]), features[stage]
        total += 2 * sizes[stage] * features[stage + 1] * count  # each output voxel has one tap
        total += 2 * sizes[stage] * kernel * (2 * count + (repeats - 1) * count) * count
    return total + 2 * sizes[0] * features[0] * architecture.classes


def roof(device: str, seconds: float = 1.0) -> float:
    """Return the floating-point operations of a product of float32 matrices per second."""
    import torch

    a = torch.rand(4096, 4096, device=device)
    float((a @ a)[0, 0])
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        float((a @ a)[0, 0])  # waits for the device
        count += 1
    return count * 2 * 4096.0**3 / (time.perf_counter() - began)


def measure(stage: Any, runs: int, device: str) -> dict[str, dict[str, float]]:
    """Return seconds per patch and the share of voxels with the same winner as torch's, by engine and precision."""
    from cspine.inference.engines.base import release_networks
    from cspine.inference.engines.choose import choose_engine

    channels, patch = stage.plan.architecture.channels, stage.plan.patch_size
    image = np.random.default_rng(0).standard_normal((channels, *patch), dtype=np.float32)
    choices = CHOICES[device]
    engines = {choice: choose_engine(device, choice[1], choice[0]) for choice in choices}
    networks = {choice: engine.network(stage, stage.manifest.folds[0]) for choice, engine in engines.items()}

    def run(choice: tuple[str, str]) -> Mapping[str, float]:
        with engines[choice].running():
            began = time.perf_counter()
            logits = engines[choice].host(networks[choice](engines[choice].array(image)))
            seconds = time.perf_counter() - began
            return {"seconds": seconds, "same": float(np.mean(logits.argmax(0) == winners))}

    first = engines[choices[0]]
    with first.running():
        winners = first.host(networks[choices[0]](first.array(image))).argmax(0)
    for choice in choices[1:]:
        run(choice)
    tools = {" ".join(choice): lambda c=choice: run(c) for choice in choices}
    figures = alternate({**tools, "roof": lambda: {"flops": roof(device)}}, runs)
    release_networks()
    return figures


def main() -> None:
    """Measure and print."""
    from cspine.models.package import load_package

    options = parser(__doc__)
    options.add_argument("--shipped", action="store_true", help="leave the standard network out")
    options.add_argument("--device", choices=sorted(CHOICES), default="cpu")
    asked = options.parse_args()
    stages = {f"shipped, {s.manifest.name}": s for s in load_package(ROOT / "models" / "cervical-demo").stages}
    if not asked.shipped:
        stages["standard, 31 M"] = cached_package().stages[0]
    figures: dict[str, Any] = {"networks": {}}
    rows = []
    for name, stage in stages.items():
        flop = flop_of(stage.plan.architecture, stage.plan.patch_size)
        measured = measure(stage, asked.runs, asked.device)
        top, base = measured.pop("roof")["flops"], measured["torch float32"]["seconds"]
        figures["networks"][name] = {"gflop": flop / 1e9, "roof_gflops": top / 1e9, **measured}
        rows += [
            (
                name, engine, f"{one['seconds']:.3f} s", f"{base / one['seconds']:.2f} x",
                f"{flop / one['seconds'] / top:.0%}", f"{one['same']:.3%}",
            )
            for engine, one in measured.items()
        ]  # fmt: skip
    head = ("network", "engine", "patch", "against torch float32", "of the roof", "same winner")
    text = f"Medians of {asked.runs} alternating runs, the roof measured between them.\n\n{table(head, rows)}"
    publish(figures, text, asked.json)


if __name__ == "__main__":
    main()
