"""A training on a dataset of the study as one call: its inputs are checked before any work, then folds and package."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cspine.core.errors import TrainingError, UsageError
from cspine.core.progress import ProgressCallback
from cspine.io.machine import usable_cores
from cspine.models.package import ModelPackage
from cspine.study.training.cases import TrainingCases, read_cases_of
from cspine.study.training.children import machine_of
from cspine.study.training.needs import needs
from cspine.study.training.packaging import check_naming, check_output_folder, naming_of, refuse_within
from cspine.study.training.settings import TrainingSettings, preset_named
from cspine.study.training.train import Training, train


@dataclass(frozen=True)
class TrainingTask:
    """A training, as a user asks for it.

    Parameters
    ----------
    dataset : Path
        Dataset of the study; it has a split, or ``folds`` is ``("all",)``.
    run : Path
        Folder of the run's state; the same task resumes where an interrupted one stopped.
    out : Path
        Folder of the model package; a package that is there is replaced.
    settings : TrainingSettings
        Configuration, plans, trainer and length.
    preset : str or None
        Key of `PRESETS` whose label set the dataset must have.
    folds : tuple of str or None
        Folds to train; all of the split if None.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:N"``, or ``"cuda:0,1"``: one fold per GPU at a time.
    processes : int or None
        Helper processes; one per core if None.
    name, title : str or None
        Name and title of the package; from its folder and its labels if None.
    command : str
        What made the package, for its card.

    Raises
    ------
    UsageError
        If ``folds`` has ``"all"`` beside others.
    """

    dataset: Path
    run: Path
    out: Path
    settings: TrainingSettings = field(default_factory=TrainingSettings)
    preset: str | None = None
    folds: tuple[str, ...] | None = None
    device: str = "auto"
    processes: int | None = None
    name: str | None = None
    title: str | None = None
    command: str = "cspine.study.train"

    def __post_init__(self) -> None:
        if self.folds is not None and "all" in self.folds and len(self.folds) > 1:
            raise UsageError(
                f"`folds` {','.join(self.folds)}: all is one model on all cases",
                advice="Give either all or numbers.",
            )


def run_training(
    task: TrainingTask,
    on_needs: Callable[[Sequence[str]], None] = lambda lines: None,
    progress: ProgressCallback = lambda done, total: None,
) -> ModelPackage:
    """Train a network with nnU-Net on a dataset of the study, and write a model package.

    Parameters
    ----------
    task : TrainingTask
        What to train, and where.
    on_needs : callable, optional
        Called once, before any work, with lines about the cases, the GPU hours, the memory and the disk.
    progress : callable, optional
        Called with the number of finished epochs and of all epochs.

    Returns
    -------
    ModelPackage
        The package, as it is read from ``task.out``.

    Raises
    ------
    UsageError
        If there is no such preset, device or name, or if ``task.out`` would replace something else than a package.
    DatasetError
        If the dataset cannot be read.
    TrainingError
        If the dataset does not suit the preset, a step fails, or ``task.run`` holds another run.
    """
    cases = read_cases_of(task.dataset, task.folds)
    if task.preset is not None:
        _check_label_set(cases, task.preset)
    naming = naming_of(task.out, task.name, task.title, cases, task.command)
    check_naming(naming)
    check_output_folder(task.out, (task.dataset, task.run))
    refuse_within(task.dataset, {"run": task.run, "out": task.out})
    machine = machine_of(task.device, task.processes or usable_cores())
    on_needs(needs(cases, task.settings, task.run))
    return train(Training(cases, task.settings, task.run, machine), task.out, naming, progress)


def _check_label_set(cases: TrainingCases, preset: str) -> None:
    wanted = preset_named(preset).label_set
    if not wanted:
        return
    if cases.labels.name != wanted:
        raise TrainingError(
            f"`preset` {preset} requires the label set {wanted}; the dataset has {cases.labels.name}",
            advice="Give the other preset, or convert the dataset with `label_set`.",
        )
    if cases.labels.auxiliary:
        raise TrainingError(
            f"the dataset has the class {cases.labels.auxiliary!r}, which the paper's model lacks",
            advice="Convert the dataset without `auxiliary`, or train it without `preset`.",
        )
