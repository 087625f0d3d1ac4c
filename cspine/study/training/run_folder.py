"""The folder of a training run: nnU-Net's folders, what the run belongs to, what is finished, who works in it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cspine.core.errors import TrainingError, UsageError
from cspine.io.files import write_atomic
from cspine.io.tables import write_json
from cspine.io.workspace import Claim, ForeignClaimError, locked
from cspine.study.training.cases import TrainingCases
from cspine.study.training.settings import TrainingSettings, differences

#: nnU-Net's variable for the processes that load patches.
LOADERS = "nnUNet_n_proc_DA"
_COMMAND = "cspine train"
_NEW_RUN = "Give another folder for `run`; its packages and checkpoints stay as they are."
#: Variables of nnU-Net that would change what a run does without being reported.
_FOREIGN = ("nnUNet_extTrainer", "nnUNet_wandb_enabled", "nnUNet_wandb_project", "nnUNet_wandb_mode")


@dataclass(frozen=True)
class RunFolder:
    """A run on disk.

    Parameters
    ----------
    root : Path
        The folder.
    dataset : str
        Name of the dataset, for example ``"Dataset501_Cervical"``.
    """

    root: Path
    dataset: str

    @property
    def raw(self) -> Path:
        """Return nnU-Net's raw dataset: a dataset.json that names the files where they lie."""
        return self.root / "nnUNet_raw" / self.dataset

    @property
    def preprocessed(self) -> Path:
        """Return nnU-Net's preprocessed dataset, with its plans."""
        return self.root / "nnUNet_preprocessed" / self.dataset

    @property
    def logs(self) -> Path:
        """Return all that nnU-Net prints."""
        return self.root / "logs"

    def plans_file(self, settings: TrainingSettings) -> Path:
        """Return the plans of the run."""
        return self.preprocessed / f"{settings.plans_name}.json"

    def results(self, settings: TrainingSettings, configuration: str) -> Path:
        """Return nnU-Net's results folder of a configuration."""
        name = f"{settings.trainer}__{settings.plans_name}__{configuration}"
        return self.root / "nnUNet_results" / self.dataset / name

    def fold(self, settings: TrainingSettings, configuration: str, fold: str) -> Path:
        """Return nnU-Net's folder of a fold."""
        return self.results(settings, configuration) / f"fold_{fold}"

    def log(self, step: str) -> Path:
        """Return the file of what nnU-Net prints in a step."""
        return self.logs / f"{step.replace(' ', '_')}.log"

    def is_done(self, step: str) -> bool:
        """Return whether a step was finished, for example ``"plan"`` or ``"fold 3d_fullres 0"``."""
        return self._mark(step).is_file()

    def mark_done(self, step: str) -> None:
        """Record that a step is finished; OutputError if that fails."""
        write_json(self._mark(step), {"step": step})

    def _mark(self, step: str) -> Path:
        return self.root / "done" / f"{step.replace(' ', '_')}.json"

    def environment(self, processes: int, loaders: int, gpu: str | None, compiled: bool) -> dict[str, str]:
        """Return the environment of a process that runs a step of nnU-Net.

        Parameters
        ----------
        processes : int
            Helper processes that it may start.
        loaders : int
            Processes that load and vary patches while a network trains; 0 to do that in the process that trains.
        gpu : str or None
            Number of the GPU that it sees as its first; None for what this process sees.
        compiled : bool
            False to do without torch.compile.
        """
        result = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
        for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
            result[name] = str((self.root / name).resolve())
        result |= {"nnUNet_def_n_proc": str(processes), LOADERS: str(loaders)}
        # Threads that wait must not keep the cores from those that work.
        result.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        if not compiled:
            result["nnUNet_compile"] = "f"
        if gpu is not None:
            result["CUDA_VISIBLE_DEVICES"] = gpu
        return result

    @contextmanager
    def locked(self) -> Iterator[int]:
        """Lock the folder, and yield the descriptor that the processes of the run inherit.

        The lock is held as long as one of them lives, even if this process is killed.

        Raises
        ------
        TrainingError
            If another command works in the folder.
        OutputError
            If the folder cannot be written.
        """
        in_use = TrainingError(
            f"another training is running in {self.root}", advice="Wait for it, or give another folder for `run`."
        )
        with locked(self.root / "lock", in_use) as descriptor:
            yield descriptor


def open_run(root: Path, cases: TrainingCases, settings: TrainingSettings) -> RunFolder:
    """Begin a run in a folder, or resume the one that is there; the folder must be locked.

    Parameters
    ----------
    root : Path
        The folder.
    cases : TrainingCases
        The training cases.
    settings : TrainingSettings
        How.

    Raises
    ------
    TrainingError
        If the folder holds a run of another dataset, split or settings.
    UsageError
        If it holds something else.
    OutputError
        If it cannot be written.
    """
    folder = RunFolder(root, cases.folder.root.resolve().name)
    record = {
        "dataset": folder.dataset,
        "cases": cases.checksum,
        "split": cases.split,
        "settings": settings.as_record(),
    }
    stored = _stored_record(root)
    if stored is None:
        foreign = [path.name for path in root.iterdir() if path.name != "lock" and not path.name.startswith(".")]
        if foreign:
            raise UsageError(
                f"`run` has {', '.join(sorted(foreign)[:3])} already, and no run.json of {_COMMAND}",
                advice="Give `run` an empty folder, or that of an earlier training on the same dataset.",
            )
        _claim(root).write(record)
    else:
        _refuse_others(root, stored, record, settings)
    _write_inputs(folder, cases)
    return folder


def read_settings(root: Path) -> TrainingSettings:
    """Return the settings of the run in a folder; TrainingError if there is none."""
    stored = _stored_record(root)
    if stored is None:
        raise TrainingError(f"no run.json in {root}")
    return TrainingSettings.from_record(stored["settings"])


def _stored_record(root: Path) -> dict[str, Any] | None:
    claim = _claim(root)
    try:
        stored = claim.read()
        if stored is not None:
            TrainingSettings.from_record(stored["settings"])
    except (OSError, ForeignClaimError, ValueError, KeyError, TypeError, UsageError) as error:
        raise TrainingError(f"{claim.file.name} in {root} is damaged, or not of {_COMMAND}", advice=_NEW_RUN) from error
    return stored


def _claim(root: Path) -> Claim:
    return Claim(root / "run.json", _COMMAND)


def _refuse_others(root: Path, stored: dict[str, Any], record: dict[str, Any], settings: TrainingSettings) -> None:
    if stored.get("dataset") != record["dataset"]:
        raise TrainingError(f"{root} holds a training on {stored.get('dataset')}", advice=_NEW_RUN)
    if stored.get("split") != record["split"]:
        raise TrainingError(f"the dataset was split again since the training in {root} began", advice=_NEW_RUN)
    if stored.get("cases") != record["cases"]:
        raise TrainingError(f"the training cases changed since the training in {root} began", advice=_NEW_RUN)
    other = differences(TrainingSettings.from_record(stored["settings"]), settings)
    if other:
        raise TrainingError(
            f"the training in {root} was begun with another {', '.join(other)}",
            advice="Give the same options as before, or another folder for `run`.",
        )


def _write_inputs(folder: RunFolder, cases: TrainingCases) -> None:
    """Write for nnU-Net where the cases are and which folds there are: never its own random ones."""
    write_json(folder.raw / "dataset.json", cases.dataset_json())
    if cases.splits():
        text = json.dumps(cases.splits(), indent=1) + "\n"
        path = folder.preprocessed / "splits_final.json"
        write_atomic(path, lambda partial: partial.write_text(text, encoding="utf-8"))
