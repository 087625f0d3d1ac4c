"""A split applied to the datasets of a study: tables, files in their folders, nnU-Net's folds, demographics."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from cspine.core.errors import DatasetError
from cspine.io.files import remove_file, write_atomic
from cspine.io.tables import write_json
from cspine.study.datasets.case_table import CASE_TABLE, CaseRow, split_checksum, write_cases
from cspine.study.datasets.dataset_folder import SPLITS, DatasetFolder
from cspine.study.datasets.demographics import write_demographics
from cspine.study.datasets.split import SplitSettings, split, splits_final

#: What a split was asked for, and its checksum.
SPLIT_RECORD = "split.json"


def apply_split(datasets: Sequence[DatasetFolder], settings: SplitSettings) -> list[list[CaseRow]]:
    """Split datasets and move their files to the folders of their subsets; return the rows of each.

    splits_final.json goes first and comes last: a dataset without it is in the midst of a split, which the same call
    completes.

    Parameters
    ----------
    datasets : sequence of DatasetFolder
        The first one leads, as in `split.split`.
    settings : SplitSettings
        What is asked for.

    Raises
    ------
    SplitError
        If there are too few patients; nothing is changed then.
    DatasetError
        If a dataset is not one of cspine, is given twice, or is being changed by another command.
    OutputError
        If a file cannot be written or moved.
    """
    if len({dataset.root.resolve() for dataset in datasets}) != len(datasets):
        raise DatasetError("a dataset is given twice", advice="Give each dataset of the study once.")
    for dataset in datasets:
        dataset.label_set()
    with ExitStack() as stack:
        for dataset in datasets:
            dataset.rows()  # raises if there is none, before a lock is made
            stack.enter_context(dataset.locked())
        divided = split([dataset.rows() for dataset in datasets], settings)
        for dataset in datasets:
            remove_file(dataset.root / SPLITS)
        for dataset, rows in zip(datasets, divided, strict=True):
            write_cases(dataset.root / CASE_TABLE, rows)
            dataset.publish(rows)
            dataset.write_dataset_json(dataset.label_set(), rows, dataset.description())
            write_demographics(dataset.root, rows)
            together = [other.root.resolve().name for other in datasets]
            record = {"settings": asdict(settings), "datasets": together, "checksum": split_checksum(rows)}
            write_json(dataset.root / SPLIT_RECORD, record)
        for dataset, rows in zip(datasets, divided, strict=True):
            _write_splits(dataset.root / SPLITS, rows)
    return divided


def _write_splits(path: Path, rows: Sequence[CaseRow]) -> None:
    text = json.dumps(splits_final(rows), indent=1) + "\n"
    write_atomic(path, lambda partial: partial.write_text(text, encoding="utf-8"))
