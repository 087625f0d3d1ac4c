"""From the DICOM files of a CT to a DICOM SEG with a standard single-stage model: cspine beside what a user would do.

    python -m benchmarks.end_to_end DICOM_FOLDER [--shape 300 512 512] [--json FILE] [--runs 3]

The model is nnU-Net's standard network: 31 million weights, patches of 128^3 voxels at 1 mm, no mirroring. Its weights
are random, so its labels mean nothing; they are compared, and times are those of any weights. The tools take turns:

stock   SimpleITK reads the series, nnUNetv2_predict_from_modelfolder predicts, highdicom writes the SEG
full    cspine with --roi full
auto    cspine with --roi auto: the shipped model locates the neck

cspine scans and reads the folder, predicts and writes the SEG by the steps of `cspine run`; random labels have no
column, so the cleaning (about a second, and no counterpart in stock) is left out of both. Memory is the peak of the
process and all its descendants together, sampled. Keys of the JSON: speedup_full, speedup_auto, memory_ratio, dice
(labels of full and stock, where both look: everywhere), dice_in_view (auto and full within the located box), amx.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import alternate, child, machine, parser, publish, result, table
from benchmarks.io_tools import stock_segmentation
from benchmarks.standard_model import LEVELS, cached_package

TOOLS = ("stock", "full", "auto")


def run_cspine(series: Path, roi: str, out: Path) -> None:
    """Walk from the files to the SEG; save labels and the located box beside it."""
    from cspine.core.volumes import LabelVolume
    from cspine.dicom.clock import Clock
    from cspine.dicom.seg import SegSettings, write_segmentation
    from cspine.inference import predict
    from cspine.inference.settings import InferenceSettings
    from cspine.pipeline import segmentation, steps
    from cspine.pipeline.settings import RunSettings

    package, settings = cached_package(), RunSettings()
    ct = steps.read_ct(steps.choose_series(steps.read_headers(series), settings, package.levels), settings)
    predict.faces_reached = lambda *of: ()  # random labels reach the end of every box, where a neck does not
    inference = segmentation.predict(ct, package, InferenceSettings("cpu", roi=roi))
    labels = LabelVolume(inference.labels.labels_zyx, ct.affine_lps, package.identity)
    write_segmentation(labels, ct, SegSettings(Clock.from_environment()), out / "seg.dcm")
    box = (inference.record.get("roi") or {}).get("box_zyx")
    np.savez(
        out / "labels.npz", labels=labels.labels_zyx, box=[[0, n] for n in ct.hu_zyx.shape] if box is None else box
    )


def run_stock(series: Path, model: Path, out: Path) -> None:
    """Walk the user's way: SimpleITK, nnU-Net's command, highdicom."""
    import SimpleITK as sitk  # noqa: N813

    reader = sitk.ImageSeriesReader()
    files = reader.GetGDCMSeriesFileNames(str(series))
    reader.SetFileNames(files)
    (out / "in").mkdir()
    sitk.WriteImage(reader.Execute(), str(out / "in" / "case_0000.nii.gz"))
    command = Path(sys.executable).with_name("nnUNetv2_predict_from_modelfolder")
    subprocess.run(
        [
            str(command), "-i", str(out / "in"), "-o", str(out / "out"), "-m", str(model), "-f", "0", "-device", "cpu",
            "--disable_tta", "-npp", "1", "-nps", "1",
        ],
        check=True, capture_output=True, env=os.environ | {"nnUNet_compile": "f"},
    )  # fmt: skip
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(out / "out" / "case.nii.gz"))).astype(np.uint8)
    stock_segmentation(files, labels, LEVELS[: int(labels.max())], out / "seg.dcm")
    np.savez(out / "labels.npz", labels=labels, box=[[0, n] for n in labels.shape])


def stock_model(folder: Path) -> Path:
    """Write nnU-Net's folder of the standard model."""
    from benchmarks.against_nnunet import write_results

    folder.mkdir()
    write_results(cached_package().stages[0], folder)
    return folder


def dice(one: np.ndarray, other: np.ndarray) -> float:
    """Return the mean Dice coefficient of the labels that either has."""
    scores = []
    for label in np.union1d(np.unique(one), np.unique(other)):
        if label:
            a, b = one == label, other == label
            scores.append(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))
    return float(np.mean(scores)) if scores else 1.0


def measure(series: Path, runs: int) -> dict[str, Any]:
    """Alternate the tools and compare their labels."""
    cached_package()
    with tempfile.TemporaryDirectory() as place:
        model = stock_model(Path(place) / "model")
        outs = {tool: Path(place) / tool for tool in TOOLS}

        def run(tool: str) -> dict[str, float]:
            subprocess.run(["rm", "-rf", str(outs[tool])], check=True)
            outs[tool].mkdir()
            arguments = [str(series), "--child", tool, "--out", str(outs[tool]), "--model", str(model)]
            return child("benchmarks.end_to_end", arguments)

        figures = alternate({tool: lambda t=tool: run(t) for tool in TOOLS}, runs)
        saved = {tool: np.load(out / "labels.npz") for tool, out in outs.items()}
        labels = {tool: one["labels"] for tool, one in saved.items()}
        box = tuple(slice(*part) for part in saved["auto"]["box"])
    stock, full, auto = (figures[tool] for tool in TOOLS)
    return {
        "speedup_full": stock["seconds"] / full["seconds"],
        "speedup_auto": stock["seconds"] / auto["seconds"],
        "memory_ratio": full["tree_gib"] / stock["tree_gib"],
        "dice": dice(labels["full"], labels["stock"]),
        "dice_in_view": dice(labels["auto"][box], labels["full"][box]),
        "amx": machine()["amx"],
        "tools": figures,
    }


def main() -> None:
    """Measure and print, or run one tool as a child."""
    options = parser(__doc__)
    options.add_argument("folder", type=Path)
    options.add_argument("--shape", type=int, nargs=3, metavar=("Z", "Y", "X"), help="resample the CT to these voxels")
    for name in ("--child", "--out", "--model"):
        options.add_argument(name, help=None)
    asked = options.parse_args()
    if asked.child:
        if asked.child == "stock":
            run_stock(asked.folder, Path(asked.model), Path(asked.out))
        else:
            run_cspine(asked.folder, asked.child, Path(asked.out))
        result()
        return
    with tempfile.TemporaryDirectory() as place:
        series = asked.folder
        if asked.shape:
            from benchmarks.against_nnunet import volume_of
            from benchmarks.scans import resampled, write_series

            write_series(resampled(volume_of(asked.folder), tuple(asked.shape)), Path(place))
            series = Path(place)
        figures = measure(series, asked.runs)
    rows = [(tool, f"{one['seconds']:.1f} s", f"{one['tree_gib']:.2f} GiB") for tool, one in figures["tools"].items()]
    text = table(("tool", "DICOM to SEG", "peak memory"), rows)
    keys = ("speedup_full", "speedup_auto", "memory_ratio", "dice", "dice_in_view")
    publish(figures, f"{text}\n\n{table(keys, [[f'{figures[key]:.3f}' for key in keys]])}", asked.json)


if __name__ == "__main__":
    main()
