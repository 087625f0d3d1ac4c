"""Time and memory of one model on one CT: cspine's inference beside nnU-Net's own predictor, same weights, same input.

    python benchmarks/against_nnunet.py DICOM_FOLDER [--model models/cervical-demo] [--runs 3]

Each run is a process of its own; runs alternate. Prints medians of wall time and peak resident memory, and how many
labelled voxels agree. nnU-Net sees the entire image in every stage, as its command does; cspine sees the box of the
patient in the first stage and the box of the vertebrae in the second, so their tiles lie elsewhere. That both give the
same labels where they see the same is what tests/inference/test_predict.py shows.
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

TOOLS = ("cspine", "nnunet")
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def volume_of(folder: Path):
    """Read the CT series that cspine would choose."""
    from cspine.dicom.read import read_volume
    from cspine.dicom.rules import load_rules
    from cspine.dicom.scan import one_study, scan_folder
    from cspine.dicom.select import select_series

    return read_volume(select_series(one_study(scan_folder(folder)), load_rules()).chosen)


def run_cspine(ct, model: Path) -> np.ndarray:
    """Return the labels of a run before they are cleaned."""
    from cspine.inference.settings import InferenceSettings
    from cspine.models.package import load_package
    from cspine.pipeline.segmentation import predict

    return predict(ct, load_package(model), InferenceSettings(device="cpu")).labels.labels_zyx


def run_nnunet(ct, model: Path) -> np.ndarray:
    """Labels by nnU-Net's predictor, stage after stage on the entire image, from folders of the same weights."""
    from cspine.core.geometry import reorientation
    from cspine.models.package import load_package

    stages = load_package(model).stages
    to_network = reorientation(ct.affine_lps, stages[0].manifest.orientation)
    x, y, z = to_network.grid(ct.grid).spacing_xyz
    image = np.ascontiguousarray(to_network.apply(ct.hu_zyx)).astype(np.float32)[None]
    found = None
    for stage in stages:
        with tempfile.TemporaryDirectory() as place:
            predictor = stock_predictor(stage, Path(place))
        previous = found[None].astype(np.int16) if stage.plan.is_cascade else None
        found = predictor.predict_single_npy_array(image, {"spacing": [z, y, x]}, previous, None, False)
    last = stages[-1].manifest
    levels = np.array([0, *(i if name != "auxiliary" else 0 for i, name in last.labels.items())])
    return to_network.undo(levels[found]).astype(np.uint8)


def stock_predictor(stage, results: Path):
    """nnU-Net's predictor with the weights of a stage, from a results folder as its training writes it."""
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    write_results(stage, results)
    predictor = nnUNetPredictor(use_mirroring=False, device=torch.device("cpu"), allow_tqdm=False, verbose=False)
    predictor.initialize_from_trained_model_folder(str(results), use_folds=(stage.manifest.folds[0],))
    return predictor


def write_results(stage, results: Path) -> None:
    """Write the first fold of a stage as nnU-Net's training leaves it."""
    import torch

    from cspine.models.network import build_network, load_weights

    for name in ("plans.json", "dataset.json"):
        (results / name).write_bytes((stage.folder / name).read_bytes())
    fold = stage.manifest.folds[0]
    (results / f"fold_{fold}").mkdir()
    network = build_network(stage.plan.architecture)
    load_weights(network, stage.weights(fold))
    checkpoint = {
        "network_weights": network.state_dict(),
        "trainer_name": stage.manifest.trainer,
        "init_args": {"configuration": stage.manifest.configuration},
        "inference_allowed_mirroring_axes": tuple(stage.manifest.mirror_axes),
    }
    torch.save(checkpoint, results / f"fold_{fold}" / "checkpoint_final.pth")


def child(tool: str, folder: Path, model: Path, out: Path) -> None:
    """Run one tool; print seconds and peak memory as JSON."""
    ct = volume_of(folder)
    begun = time.perf_counter()
    labels = run_nnunet(ct, model) if tool == "nnunet" else run_cspine(ct, model)
    seconds = time.perf_counter() - begun
    np.save(out, labels)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print("RESULT", json.dumps({"seconds": seconds, "peak_gib": peak}))


def main() -> None:
    """Alternate the two tools and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "cervical-demo")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--child", choices=TOOLS, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        child(asked.child, asked.folder, asked.model, asked.out)
        return
    figures: dict[str, list[dict[str, float]]] = {tool: [] for tool in TOOLS}
    with tempfile.TemporaryDirectory() as place:
        outs = {tool: Path(place) / f"{tool}.npy" for tool in figures}
        for _ in range(asked.runs):
            for tool, out in outs.items():
                command = [sys.executable, "-W", "ignore", __file__, str(asked.folder), "--model", str(asked.model)]
                done = subprocess.run(
                    [*command, "--child", tool, "--out", str(out)],
                    capture_output=True,
                    text=True,
                    check=True,
                    env=os.environ | {"nnUNet_compile": "f"},
                )
                line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT"))
                figures[tool].append(json.loads(line.removeprefix("RESULT")))
        ours, stock = np.load(outs["cspine"]), np.load(outs["nnunet"])
    ct = volume_of(asked.folder)
    print(
        f"{ct.hu_zyx.shape[0]} slices of {ct.hu_zyx.shape[1]} x {ct.hu_zyx.shape[2]}, {asked.runs} runs each, medians"
    )
    for tool, runs in figures.items():
        seconds, peak = (statistics.median(run[key] for run in runs) for key in ("seconds", "peak_gib"))
        print(f"{tool:13} {seconds:8.1f} s {peak:6.2f} GiB")
    either = (ours > 0) | (stock > 0)
    share = np.mean(ours[either] == stock[either])
    print(f"cspine and nnunet agree on {share:.2%} of the voxels that either labels")


if __name__ == "__main__":
    main()
