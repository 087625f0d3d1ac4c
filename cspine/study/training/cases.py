"""The cases that a model is trained on: which ones a dataset has, how they are split, and how to know them again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cspine.core.errors import DatasetError, TrainingError
from cspine.io.documents import read_json
from cspine.study.datasets.case_table import CaseRow, Subset, refuse_split_patients, split_checksum, split_patients
from cspine.study.datasets.dataset_folder import SPLITS, DatasetFolder
from cspine.study.label_sets import LabelSet

#: Name of the one "fold" that learns from all training cases.
ALL = "all"
_SPLIT_ADVICE = "Split it with `cspine dataset split`; `folds` all trains one model on every case without a split."
_GZIP_TRAILER = 8


@dataclass(frozen=True)
class TrainingCases:
    """The training cases of a dataset.

    Parameters
    ----------
    folder : DatasetFolder
        The dataset.
    labels : LabelSet
        Its label set.
    rows : tuple of CaseRow
        The training cases by name.
    folds : tuple of str
        ``"0"``, ``"1"``, ... or ``("all",)``.
    split : str or None
        Checksum of the split; None for a dataset that is not split.
    checksum : str
        Of the files of the training cases and of the label numbers.
    """

    folder: DatasetFolder
    labels: LabelSet
    rows: tuple[CaseRow, ...]
    folds: tuple[str, ...]
    split: str | None
    checksum: str

    def folds_of(self, stages: Sequence[str], stage: str) -> tuple[str, ...]:
        """Return the folds that a stage needs: all of them before a last stage.

        The last stage of a cascade is trained on predictions of the one before, and each case has to be predicted by
        the fold that was not trained on it.

        Parameters
        ----------
        stages : sequence of str
            Configurations in the order of their training.
        stage : str
            One of them.
        """
        if self.folds == (ALL,) or stage == stages[-1]:
            return self.folds
        return tuple(map(str, _folds(self.rows)))

    def splits(self) -> list[dict[str, list[str]]]:
        """Return the content of nnU-Net's splits_final.json: the cases of each fold of the dataset, from its table."""
        return _splits(self.rows)

    def dataset_json(self) -> dict[str, Any]:
        """Return dataset.json for nnU-Net's planner and preprocessor: it names each training case's files."""
        pairs = {row.case: [path.resolve() for path in self.folder.pair("Tr", row.case)] for row in self.rows}
        return {
            **_dataset_json(self.folder),
            "numTraining": len(self.rows),
            "dataset": {case: {"images": [str(image)], "label": str(label)} for case, (image, label) in pairs.items()},
        }


def read_cases_of(root: Path, folds: tuple[str, ...] | None) -> TrainingCases:
    """Inspect a dataset before a training.

    Parameters
    ----------
    root : Path
        The dataset, as `cspine dataset convert` and `split` leave it.
    folds : tuple of str or None
        Folds to train; all that the dataset has if omitted.

    Raises
    ------
    DatasetError
        If it is no dataset of cspine, or files are absent.
    TrainingError
        If it is not split, or not so that the folds can be trained.
    """
    folder = DatasetFolder(root)
    _ = folder.number  # nnU-Net asks for a name of that form
    labels, everyone = folder.label_set(), folder.rows()
    _check_reader(folder)
    rows = tuple(sorted((row for row in everyone if _is_for_training(row, everyone)), key=lambda row: row.case))
    if not rows:
        raise TrainingError(f"{root.name} has no case for training", advice=_SPLIT_ADVICE)
    is_split = any(row.subset is Subset.TRAINING for row in everyone)
    if folds == (ALL,):
        chosen: tuple[str, ...] = folds
    else:
        chosen = _checked_folds(root, rows, folds)
    if is_split:
        _check_splits_file(root, rows)
        refuse_split_patients(everyone, root.name)
    absent = [row.case for row in rows if folder.where(row.case) != "Tr"]
    if absent:
        raise DatasetError(
            f"{len(absent)} training cases lack their files in imagesTr and labelsTr: {', '.join(absent[:5])}",
            advice="Convert and split the dataset again; both resume where they stopped.",
        )
    split = split_checksum(everyone) if is_split else None
    return TrainingCases(folder, labels, rows, chosen, split, _files_checksum(folder, rows))


def _is_for_training(row: CaseRow, everyone: list[CaseRow]) -> bool:
    if any(other.subset is Subset.TRAINING for other in everyone):
        return row.subset is Subset.TRAINING
    return row.subset is Subset.UNUSED and not row.excluded


def _checked_folds(root: Path, rows: tuple[CaseRow, ...], folds: tuple[str, ...] | None) -> tuple[str, ...]:
    if any(row.subset is not Subset.TRAINING or row.fold is None for row in rows):
        raise TrainingError(f"{root.name} is not split into folds", advice=_SPLIT_ADVICE)
    there = _folds(rows)
    if there != list(range(len(there))) or len(there) < 2:
        raise TrainingError(f"{root.name} has the folds {', '.join(map(str, there))}", advice=_SPLIT_ADVICE)
    leaking = sorted(case for cases in split_patients(rows).values() for case in cases)
    if leaking:
        raise TrainingError(
            f"cases of one patient are in different folds: {', '.join(leaking[:4])}", advice=_SPLIT_ADVICE
        )
    names = tuple(str(fold) for fold in there)
    unknown = [fold for fold in folds or () if fold not in names]
    if unknown:
        raise TrainingError(
            f"{root.name} has no fold {', '.join(unknown)}", advice=f"Its folds are {', '.join(names)}, or give all."
        )
    return tuple(dict.fromkeys(folds)) if folds else names


def _check_splits_file(root: Path, rows: tuple[CaseRow, ...]) -> None:
    path = root / SPLITS
    try:
        stated = read_json(path)
        stated_splits = [{subset: sorted(split[subset]) for subset in ("train", "val")} for split in stated]
    except FileNotFoundError as error:
        raise TrainingError(
            f"{root.name} has no {SPLITS}: its split is in progress, or was interrupted",
            advice="Wait for `cspine dataset split`, or run the same command again.",
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{path.name} of the dataset cannot be read", advice=_SPLIT_ADVICE) from error
    if stated_splits != _splits(rows):
        raise TrainingError(f"{path.name} and cases.csv have different folds", advice=_SPLIT_ADVICE)


def _folds(rows: tuple[CaseRow, ...]) -> list[int]:
    return sorted({row.fold for row in rows if row.fold is not None})


def _splits(rows: tuple[CaseRow, ...]) -> list[dict[str, list[str]]]:
    return [
        {
            "train": sorted(row.case for row in rows if row.fold != fold),
            "val": sorted(row.case for row in rows if row.fold == fold),
        }
        for fold in _folds(rows)
    ]


def _dataset_json(folder: DatasetFolder) -> Mapping[str, Any]:
    try:
        content = read_json(folder.root / "dataset.json")
    except (OSError, ValueError) as error:
        raise TrainingError("dataset.json of the dataset cannot be read") from error
    if not isinstance(content, dict):
        raise TrainingError("dataset.json of the dataset does not contain a JSON object")
    return content


def _check_reader(folder: DatasetFolder) -> None:
    reader = _dataset_json(folder).get("overwrite_image_reader_writer")
    if reader != "SimpleITKIOWithReorient":
        raise TrainingError(
            f"dataset.json asks for the reader {reader}, which does not reorient images to one orientation",
            advice='Let dataset.json say "overwrite_image_reader_writer": "SimpleITKIOWithReorient".',
        )


def _files_checksum(folder: DatasetFolder, rows: tuple[CaseRow, ...]) -> str:
    """Return the checksum of sizes and of gzip's own checksums: a gzip file ends with CRC-32 and length (RFC 1952).

    So a dataset that was only copied is the same one.
    """
    digest = hashlib.sha256(json.dumps(folder.label_set().network_labels()).encode("ascii"))
    for row in rows:
        for path in folder.pair("Tr", row.case):
            try:
                with path.open("rb") as file:
                    size = file.seek(0, 2)
                    file.seek(max(0, size - _GZIP_TRAILER))
                    digest.update(f"{path.name}\0{size}\0".encode() + file.read())
            except OSError as error:
                raise DatasetError(f"case {row.case}: {path.name} cannot be read") from error
    return digest.hexdigest()
