"""An nnU-Net v2 raw dataset: where the files of a case lie, and dataset.json.

Cases for training lie in imagesTr and labelsTr, the others in imagesTs and labelsTs, those that are excluded or left
over in imagesExcluded and labelsExcluded, which nnU-Net does not look at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cspine.core.errors import DatasetError, OutputError, SplitError
from cspine.io.documents import read_json
from cspine.io.nifti_files import ENDING
from cspine.io.tables import write_json
from cspine.io.workspace import locked
from cspine.study.cases import raw_pair
from cspine.study.datasets.case_table import CASE_TABLE, CaseRow, Subset, read_cases, refuse_split_patients
from cspine.study.label_sets import LabelSet, label_set_of

_NAME = re.compile(r"^Dataset(\d{3})_([A-Za-z0-9][A-Za-z0-9_-]*)$")
_KINDS = ("Tr", "Ts", "Excluded")
#: Folder of what the conversion keeps of each case.
RECORDS = ".conversion"
#: nnU-Net's folds, in the root of a dataset that has been split.
SPLITS = "splits_final.json"


@dataclass(frozen=True)
class DatasetFolder:
    """A dataset on disk.

    Parameters
    ----------
    root : Path
        The folder, for example ``raw/Dataset501_Cervical``.
    """

    root: Path

    @property
    def number(self) -> int:
        """Return nnU-Net's number of the dataset.

        Raises
        ------
        DatasetError
            If the folder lacks the form of name that nnU-Net requires.
        """
        match = _NAME.match(self.root.resolve().name)
        if match is None:
            raise DatasetError(
                f"{self.root.name!r} is not the name of an nnU-Net dataset",
                advice="Name the folder like Dataset501_Cervical.",
            )
        return int(match[1])

    def images(self, kind: str) -> Path:
        """Return the folder of the images of a kind: Tr, Ts or Excluded."""
        return self.root / f"images{kind}"

    def labels(self, kind: str) -> Path:
        """Return the folder of the labels of a kind: Tr, Ts or Excluded."""
        return self.root / f"labels{kind}"

    def pair(self, kind: str, case: str) -> tuple[Path, Path]:
        """Return the paths of the image and of the labels of a case.

        Parameters
        ----------
        kind : str
            ``"Tr"``, ``"Ts"`` or ``"Excluded"``.
        case : str
            Name of the case.
        """
        return raw_pair(self.root, case, kind)

    def where(self, case: str) -> str | None:
        """Return the kind whose folders have the complete pair of a case; None where there is none."""
        return next((kind for kind in _KINDS if all(path.is_file() for path in self.pair(kind, case))), None)

    def rows(self) -> list[CaseRow]:
        """Return the table of the cases; DatasetError as `read_cases`."""
        return read_cases(self.root / CASE_TABLE)

    def split_rows(self) -> list[CaseRow]:
        """Return the table of the cases whose subsets and folds hold.

        Raises
        ------
        SplitError
            If cases have subsets and `SPLITS` is absent: a split is under way, or the cases changed after it. Or if the
            cases of a patient are in several subsets or folds.
        DatasetError
            As `read_cases`.
        """
        rows = self.rows()
        divided = any(row.subset in (Subset.TRAINING, Subset.INTERNAL, Subset.EXTERNAL) for row in rows)
        if divided and not (self.root / SPLITS).is_file():
            raise SplitError(
                f"{self.root.name} has no {SPLITS}: its cases changed after the split, or a split was interrupted",
                advice="Split it again with `cspine dataset split`.",
            )
        refuse_split_patients(rows, self.root.name)
        return rows

    def label_set(self) -> LabelSet:
        """Return the label set of dataset.json.

        Raises
        ------
        DatasetError
            If dataset.json is absent, damaged, or its labels are no label set's.
        """
        path = self.root / "dataset.json"
        try:
            found = label_set_of(read_json(path)["labels"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DatasetError(f"no usable dataset.json in {self.root}") from error
        if found is None:
            raise DatasetError("the labels of dataset.json are not a label set of cspine")
        return found

    def description(self) -> str:
        """Return what dataset.json says of the dataset in words."""
        try:
            content = read_json(self.root / "dataset.json")
            return str(content.get("description", ""))
        except (OSError, ValueError, AttributeError):
            return ""

    def write_dataset_json(self, labels: LabelSet, rows: Iterable[CaseRow], description: str = "") -> None:
        """Write dataset.json for the cases that lie in imagesTr.

        Parameters
        ----------
        labels : LabelSet
            Classes of the dataset.
        rows : iterable of CaseRow
            Every case.
        description : str
            What nnU-Net's ``description`` says.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        content: dict[str, Any] = {
            "channel_names": {"0": "CT"},
            "labels": labels.network_labels(),
            "numTraining": sum(kind_of(row) == "Tr" for row in rows),
            "file_ending": ENDING,
            "overwrite_image_reader_writer": "SimpleITKIOWithReorient",
            "name": self.root.resolve().name,
            "description": description,
        }
        write_json(self.root / "dataset.json", content)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other commands from changing the dataset, and clear what a terminated one left unfinished.

        Raises
        ------
        DatasetError
            If another command is changing it.
        OutputError
            If the folder cannot be written.
        """
        in_use = DatasetError(
            "another command is changing this dataset", advice="Wait for it; the same command resumes it if it died."
        )
        try:
            with locked(self.root / RECORDS / "lock", in_use):
                for folder in (self.root, *self.root.glob("*/")):
                    for path in folder.glob(".partial-*"):
                        path.unlink()
                yield
        except OSError as error:
            raise OutputError(f"the dataset cannot be written: {error.strerror}") from error

    def remove(self, case: str) -> None:
        """Remove the files of a case, wherever they lie.

        Parameters
        ----------
        case : str
            Name of the case.

        Raises
        ------
        OutputError
            If one cannot be removed.
        """
        try:
            for kind in _KINDS:
                for path in self.pair(kind, case):
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"the files of {case} cannot be removed: {error.strerror}") from error

    def publish(self, rows: Iterable[CaseRow]) -> None:
        """Move the files of each case to where its row says; done again after an interrupt, it completes.

        Parameters
        ----------
        rows : iterable of CaseRow
            Every case, with its subset and exclusion.

        Raises
        ------
        OutputError
            If a file cannot be moved.
        DatasetError
            If a case has no files.
        """
        for row in rows:
            if not row.levels:
                continue  # it has no files: nothing of the label set is in view
            wanted = kind_of(row)
            for path in self.pair(wanted, row.case):
                if path.is_file():
                    continue
                place = 0 if path.parent.name.startswith("images") else 1
                others = [self.pair(kind, row.case)[place] for kind in _KINDS if kind != wanted]
                found = next((other for other in others if other.is_file()), None)
                if found is None:
                    raise DatasetError(f"case {row.case}: {path.name} is in none of the dataset's folders")
                try:
                    path.parent.mkdir(exist_ok=True)
                    found.rename(path)
                except OSError as error:
                    raise OutputError(f"{path.name} cannot be moved: {error.strerror}") from error


def kind_of(row: CaseRow) -> str:
    """Return where the files of a case belong: Tr, Ts or Excluded.

    Before a split every case that is not excluded lies in Tr.
    """
    if row.excluded or row.subset is Subset.UNASSIGNED:
        return "Excluded"
    return "Ts" if row.subset in (Subset.INTERNAL, Subset.EXTERNAL) else "Tr"
