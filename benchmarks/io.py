"""Scanning DICOM files, reading a series and writing a DICOM Segmentation: cspine beside other tools.

    python -m benchmarks.io [--json FILE] [--files 10000] [--slices 300] [--runs 3]

scan    from a folder to its series: files of 64 x 64 pixels in series of 500; the time of each file
read    from the folder of a series of 512 x 512 pixels to its volume in Hounsfield units, for each transfer syntax
write   8 and 25 segments on that series, BINARY and LABELMAP (RLE; dcmqi's is not compressed)

Against SimpleITK, the operators of the MONAI Deploy App SDK, highdicom, and dcmqi's itkimage2segimage, where they are
installed. Each run is a process of its own: the work is timed without the imports, and the memory is the peak of the
process with all that it needed before. Tools take turns, and medians are stated. The CT is that of examples/ (or --ct),
resampled, with noise as a scanner's.

Keys of the JSON: scan, read, write (the figures of each tool); against (how many times as long another tool takes as
cspine); same (whether all tools found the same files, values and labels); left_out (what could not be measured).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from benchmarks.against_nnunet import volume_of
from benchmarks.common import ROOT, alternate, child, parser, publish, result, table, version
from benchmarks.io_tools import SEGMENTATION, TOOLS, digest, write_labels
from benchmarks.scans import resampled, write_series
from cspine.core.anatomy import CERVICAL_LEVELS, VERTEBRAE
from cspine.core.volumes import CtVolume, LabelArray
from cspine.dicom.read_seg import read_segmentation

SYNTAXES = {
    "uncompressed": ExplicitVRLittleEndian,
    "JPEG-LS": JPEGLSLossless,
    "JPEG 2000": JPEG2000Lossless,
    "RLE": RLELossless,
}
LEVELS = {
    8: [level.name for level in CERVICAL_LEVELS],
    25: [level.name for level in VERTEBRAE if level.has_own_code or level.name == "L6"],
}
KINDS = ("binary", "labelmap")
#: What has to be installed for a tool.
DISTRIBUTIONS = {
    "SimpleITK": "SimpleITK", "MONAI": "monai-deploy-app-sdk", "highdicom": "highdicom", "dcmqi": "dcmqi",
}  # fmt: skip
_NOISE_HU = 15.0
_SERIES_FILES, _SCAN_PIXELS = 500, 64
Figures = dict[str, dict[str, float]]


def noisy(ct: CtVolume, seed: int = 0) -> CtVolume:
    """Return a volume with noise, which an interpolated one lacks and compression depends on."""
    noise = np.random.default_rng(seed).normal(0.0, _NOISE_HU, ct.hu_zyx.shape)
    return replace(ct, hu_zyx=np.rint(ct.hu_zyx + noise).astype(np.int16))


def many_series(ct: CtVolume, files: int, folder: Path) -> None:
    """Write a number of small files, in folders of a series each."""
    for number, first in enumerate(range(0, files, _SERIES_FILES)):
        shape = (min(_SERIES_FILES, files - first), _SCAN_PIXELS, _SCAN_PIXELS)
        part = folder / f"series-{number:04d}"
        write_series(resampled(ct, shape), part, uid_seed=f"scan {number}", transfer_syntax=ExplicitVRLittleEndian)


def column(shape: tuple[int, int, int], count: int) -> LabelArray:
    """Return labels, 1 at the head, of ellipses as large as vertebrae, each on its share of the slices."""
    z, y, x = shape
    rows, columns = np.ogrid[:y, :x]
    ellipse = ((rows / y - 0.5) / 0.10) ** 2 + ((columns / x - 0.5) / 0.13) ** 2 < 1
    labels: LabelArray = np.zeros(shape, dtype=np.uint8)
    for number, share in enumerate(np.array_split(np.arange(z)[::-1], count), 1):
        labels[share.min() : share.max() + 1, ellipse] = number
    return labels


def taking_part(task: str, kind: str = "binary") -> tuple[list[str], dict[str, str]]:
    """Return the tools that can do a task here, and why the others cannot."""
    left_out = {tool: f"{name} is not installed" for tool, name in DISTRIBUTIONS.items() if version(name) is None}
    if kind == "labelmap":
        left_out["MONAI"] = "the SDK writes BINARY objects alone"
    tools = [tool for tool in TOOLS[task] if tool not in left_out]
    return tools, {tool: reason for tool, reason in left_out.items() if tool in TOOLS[task]}


def compare(task: str, tools: Sequence[str], runs: int, *given: str) -> Figures:
    """Return the medians of tools at a task; ``{tool}`` in an argument becomes the name of the tool."""

    def run(tool: str) -> dict[str, float]:
        return child("benchmarks.io", ["--child", json.dumps([task, tool, *(one.format(tool=tool) for one in given)])])

    return alternate({tool: lambda tool=tool: run(tool) for tool in tools}, runs)


def measure(asked: Any, place: Path) -> dict[str, Any]:
    """Return the figures of all tasks."""
    ct = volume_of(asked.ct)
    many_series(ct, asked.files, place / "scan")
    tools, left_out = taking_part("scan")
    figures: dict[str, Any] = {"files": asked.files, "slices": asked.slices}
    figures["scan"] = compare("scan", tools, asked.runs, str(place / "scan"))
    volume = noisy(resampled(ct, (asked.slices, asked.pixels, asked.pixels)))
    figures["read"] = {}
    for name, syntax in SYNTAXES.items():
        series = place / name
        write_series(volume, series, transfer_syntax=syntax)
        figures["read"][name] = compare("read", taking_part("read")[0], asked.runs, str(series))
    figures["write"] = {}
    for count in LEVELS:
        for kind in KINDS:
            tools, missing = taking_part("write", kind)
            left_out |= {f"{tool}, {kind}": reason for tool, reason in missing.items()}
            works = labelled(column(volume.hu_zyx.shape, count), count, tools, place / f"{count}-{kind}")
            series = place / next(iter(SYNTAXES))
            done = compare("write", tools, asked.runs, str(series), str(works["cspine"].parent / "{tool}"), kind)
            figures["write"][f"{count} {kind}"] = {tool: one | written(works[tool]) for tool, one in done.items()}
    return figures | {"against": against(figures), "same": same(figures), "left_out": left_out}


def labelled(labels_zyx: LabelArray, count: int, tools: Sequence[str], folder: Path) -> dict[str, Path]:
    """Return a folder with the labels for each tool to write in."""
    works = {tool: folder / tool for tool in tools}
    for work in works.values():
        work.mkdir(parents=True)
        write_labels(labels_zyx, LEVELS[count], work)
    return works


def written(work: Path) -> dict[str, float]:
    """Return the size of an object, and a number that follows from the voxels of each level."""
    labels = read_segmentation(work / SEGMENTATION).labels_zyx
    voxels = np.bincount(labels.ravel(), minlength=256)[1:]
    return {"mib": (work / SEGMENTATION).stat().st_size / 2**20, "digest": digest(voxels.view(np.int16))}


def comparisons(figures: Mapping[str, Any]) -> dict[str, Figures]:
    """Return the figures of tools by what they were compared at."""
    reading, writing = ({f"{task} {name}": one for name, one in figures[task].items()} for task in ("read", "write"))
    return {"scan": figures["scan"], **reading, **writing}


def against(figures: Mapping[str, Any]) -> dict[str, float]:
    """Return how many times as long other tools take as cspine."""
    return {
        f"{name}, {tool}": one["seconds"] / tools["cspine"]["seconds"]
        for name, tools in comparisons(figures).items()
        for tool, one in tools.items()
        if tool != "cspine"
    }


def same(figures: Mapping[str, Any]) -> dict[str, bool]:
    """Return whether all tools came to the same result."""
    keys = ("digest", "series", "files")
    return {
        name: len({tuple(one.get(key) for key in keys) for one in tools.values()}) == 1
        for name, tools in comparisons(figures).items()
    }


def markdown(figures: Mapping[str, Any]) -> str:
    """Return a row for each comparison."""
    rows = []
    for name, tools in comparisons(figures).items():
        for tool, one in tools.items():
            per_file = f"{1000 * one['seconds'] / figures['files']:.2f} ms per file" if name == "scan" else ""
            size = f"{one['mib']:.1f} MiB" if "mib" in one else per_file
            times = one["seconds"] / tools["cspine"]["seconds"]
            rows.append((name, tool, f"{one['seconds']:.2f} s", f"{times:.2f} x", f"{one['tree_gib']:.2f} GiB", size))
    equal = (
        "yes" if all(figures["same"].values()) else f"no: {[n for n, is_so in figures['same'].items() if not is_so]}"
    )
    head = ("work", "tool", "time", "against cspine", "peak memory", "")
    left_out = "".join(f"\nLeft out: {tool}: {reason}." for tool, reason in figures["left_out"].items())
    return f"{table(head, rows)}\n\nThe same results: {equal}.{left_out}"


def main() -> None:
    """Measure and print, or run one tool as a child."""
    options = parser(__doc__)
    options.add_argument("--ct", type=Path, default=ROOT / "examples" / "neck-ct", help="folder of a CT")
    options.add_argument("--files", type=int, default=10_000, help="files to scan")
    options.add_argument("--slices", type=int, default=300, help="slices to read and to write on")
    options.add_argument("--pixels", type=int, default=512, help="rows and columns of these")
    options.add_argument("--child", help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.child:
        task, tool, *given = json.loads(asked.child)
        paths = [one if one in KINDS else Path(one) for one in given]
        result(**TOOLS[task][tool](*paths))
        return
    with tempfile.TemporaryDirectory() as place:
        figures = measure(asked, Path(place))
    publish(figures, markdown(figures), asked.json)


if __name__ == "__main__":
    main()
