"""Time and memory of `cspine run` by the number of slices, the model and the number of folds.

    python -m benchmarks.scaling [--ct DICOM_FOLDER] [--slices 100 300 600 1000 1500] [--json FILE] [--plot FILE.png]

A CT of a neck (that of examples/ if omitted) is resampled to 512 x 512 pixels and 300 slices. Fewer slices have the
same field of view; more continue towards the feet with a trunk that has no bones, so that a scan and its neck part
contain the same vertebrae. The shipped models run with the fold that they have, and with five copies of it. Each run is
a command of its own with the default outputs; configurations take turns, and medians are stated.

Keys of the JSON: rows; longest_against_neck (seconds of the longest scan by those of its neck part, for each
configuration); largest_peak_gib; fits_8_gib (the largest peak leaves a gibibyte of such a machine to the system).
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.against_nnunet import volume_of
from benchmarks.common import ROOT, alternate, parser, publish, run, table
from benchmarks.scans import scan_of, write_series
from cspine.models.package import ModelPackage, load_package, read_model_json
from cspine.models.package_writer import StageContent, write_package

MACHINE_GIB, SYSTEM_GIB = 8.0, 1.0


@dataclass(frozen=True)
class Configuration:
    """What runs.

    Parameters
    ----------
    model : str
        Name of the shipped model.
    folds : int
        Folds that are averaged.
    """

    model: str
    folds: int

    def __str__(self) -> str:
        return f"{self.model}, {self.folds} {'fold' if self.folds == 1 else 'folds'}"


def with_folds(package: ModelPackage, count: int, folder: Path) -> ModelPackage:
    """Write a package whose stages have their first fold several times."""
    names = tuple(str(number) for number in range(count))
    stages = tuple(stage.manifest.model_copy(update={"folds": names}) for stage in package.stages)
    contents = {
        stage.manifest.name: StageContent(
            read_model_json(stage.folder / "plans.json"),
            read_model_json(stage.folder / "dataset.json"),
            dict.fromkeys(names, stage.weights(stage.manifest.folds[0])),
        )
        for stage in package.stages
    }
    return write_package(folder, package.manifest.model_copy(update={"stages": stages, "files": {}}), contents)


def run_once(series: Path, model: Path, outputs: str | None) -> dict[str, float]:
    """Run the command; return its seconds, also of each step, and its peak memory."""
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "out"
        command = [sys.executable, "-m", "cspine", "-q", "run", str(series), str(out), "--model", str(model)]
        _, figures = run([*command, "--device", "cpu", *(("--outputs", outputs) if outputs else ())])
        steps = json.loads((out / "report" / "summary.json").read_text("utf-8"))["timings_s"]
    return figures | {f"step {name}": seconds for name, seconds in steps.items()}


def measure(asked: Any, place: Path) -> list[dict[str, Any]]:
    """Return a row for each number of slices and each configuration."""
    packages = {}
    for model in asked.models:
        package = load_package(ROOT / "models" / model)
        for count in asked.folds:
            configuration = Configuration(model, count)
            packages[configuration] = (
                package.folder if count == 1 else with_folds(package, count, place / f"{model}-{count}").folder
            )
    ct, rows = volume_of(asked.ct), []
    for slices in asked.slices:
        with tempfile.TemporaryDirectory(dir=place) as series:
            write_series(scan_of(ct, slices, asked.neck, asked.pixels), Path(series))
            tools = {
                configuration: lambda folder=folder: run_once(Path(series), folder, asked.outputs)
                for configuration, folder in packages.items()
            }
            for configuration, figures in alternate(tools, asked.runs).items():
                rows.append({"model": configuration.model, "folds": configuration.folds, "slices": slices, **figures})
    return rows


def figures_of(rows: Sequence[dict[str, Any]], neck: int) -> dict[str, Any]:
    """Return the rows with what follows from them.

    Parameters
    ----------
    rows : sequence of dict
        As `measure` returns them.
    neck : int
        Slices of the neck part.
    """
    longest = max(row["slices"] for row in rows)
    seconds = {(str(Configuration(row["model"], row["folds"])), row["slices"]): row["seconds"] for row in rows}
    largest = max(row["tree_gib"] for row in rows)
    return {
        "rows": list(rows),
        "longest_against_neck": {
            "slices": [longest, neck],
            **{
                name: seconds[name, longest] / seconds[name, neck]
                for name, slices in seconds
                if slices == neck and longest > neck
            },
        },
        "largest_peak_gib": largest,
        f"fits_{MACHINE_GIB:.0f}_gib": largest <= MACHINE_GIB - SYSTEM_GIB,
    }


def markdown(figures: dict[str, Any]) -> str:
    """Return the tables."""
    head = ("model", "folds", "slices", "complete run", "processor time", "inference", "peak memory")
    rows = [
        (
            row["model"], row["folds"], row["slices"], f"{row['seconds']:.1f} s", f"{row['processor_seconds']:.1f} s",
            f"{row['step infer']:.1f} s", f"{row['tree_gib']:.2f} GiB",
        )
        for row in figures["rows"]
    ]  # fmt: skip
    fits = f"fits_{MACHINE_GIB:.0f}_gib"
    text = [table(head, rows), f"largest peak {figures['largest_peak_gib']:.2f} GiB, {fits}: {figures[fits]}"]
    ratios = dict(figures["longest_against_neck"])
    longest, neck = ratios.pop("slices")
    if ratios:
        title = f"{longest} slices against their neck part of {neck}"
        text.append(table(("", title), [(name, f"{ratio:.2f} x") for name, ratio in ratios.items()]))
    return "\n\n".join(text)


def plot(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw seconds and peak memory by the number of slices."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    seconds, memory = figure.subplots(1, 2)
    for name in dict.fromkeys(Configuration(row["model"], row["folds"]) for row in rows):
        own = sorted(
            (row for row in rows if (row["model"], row["folds"]) == (name.model, name.folds)),
            key=lambda row: row["slices"],
        )
        for axes, key in ((seconds, "seconds"), (memory, "tree_gib")):
            axes.plot([row["slices"] for row in own], [row[key] for row in own], "o-", label=str(name))
    memory.axhline(MACHINE_GIB, linestyle=":", color="black")
    for axes, label in ((seconds, "complete run, s"), (memory, "peak memory, GiB")):
        axes.set(xlabel="slices", ylabel=label, ylim=(0, None))
    seconds.legend()
    figure.savefig(path, dpi=150)


def main() -> None:
    """Measure, print and draw."""
    options = parser(__doc__)
    options.add_argument("--ct", type=Path, default=ROOT / "examples" / "neck-ct", help="folder of a CT of a neck")
    options.add_argument("--slices", type=int, nargs="+", default=[100, 300, 600, 1000, 1500])
    options.add_argument("--neck", type=int, default=300, help="slices of the neck; longer scans have a trunk below it")
    options.add_argument("--pixels", type=int, default=512, help="rows and columns")
    options.add_argument("--models", nargs="+", default=["cervical-demo", "full-spine-demo"])
    options.add_argument("--folds", type=int, nargs="+", default=[1, 5])
    options.add_argument("--outputs", help="as of cspine run; its default if omitted")
    options.add_argument("--plot", type=Path, help="write a picture")
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as place:
        figures = figures_of(measure(asked, Path(place)), asked.neck)
    publish(figures, markdown(figures), asked.json)
    if asked.plot is not None:
        plot(figures["rows"], asked.plot)


if __name__ == "__main__":
    main()
