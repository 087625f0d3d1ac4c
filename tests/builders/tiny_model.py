"""A model that `cspine train` makes of the tiny dataset in seconds on a CPU: two folds, of two epochs each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner, Result

from cspine.cli.train import command
from tests.builders.tiny_dataset import tiny_dataset

#: The dataset's own spacing, a patch and a network as small as they can be.
OPTIONS = (
    *("--epochs", "2", "--iterations-per-epoch", "2", "--validation-iterations", "1", "--batch-size", "2"),
    *("--patch-size", "16,16,16", "--spacing", "3,3,3", "--features", "2", "--no-mirroring"),
    *("--device", "cpu", "--processes", "1"),
)  # fmt: skip


@dataclass(frozen=True)
class TrainedModel:
    """Where the dataset, the run and the package lie, and what the command printed."""

    dataset: Path
    run: Path
    package: Path
    printed: str = ""


def call_train(dataset: Path, run: Path, out: Path, *more: str) -> Result:
    """Call `cspine train`; an error of cspine is raised."""
    arguments = [str(dataset), "--run", str(run), "--out", str(out), *OPTIONS, *more]
    return CliRunner().invoke(command, arguments, catch_exceptions=False)


def train_tiny_model(root: Path) -> TrainedModel:
    """Write the dataset, and train both folds."""
    paths = (root / "Dataset501_Tiny", root / "run", root / "model")
    tiny_dataset(paths[0])
    result = call_train(*paths)
    assert result.exit_code == 0, result.output
    return TrainedModel(*paths, result.output)
