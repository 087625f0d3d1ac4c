"""Folders as `cspine evaluate` writes them, from made-up scores, with small images of a phantom where asked for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from cspine.core.anatomy import VERTEBRAE, vertebra
from cspine.io import nifti
from cspine.io.tables import write_csv
from cspine.study.evaluation.table_columns import COMPARED_COLUMNS, FILE_COLUMNS
from tests.builders.spine_phantom import Phantom, draw, hu_of

CERVICAL = ("C1", "C2", "C3", "C4", "C5", "C6", "C7", "T1")
#: A neck of a few thousand voxels.
SMALL = Phantom(shape_zyx=(40, 24, 20), spacing_xyz=(4.0, 4.0, 4.0))


@dataclass(frozen=True)
class Line:
    """A row of scores.csv; None is an empty cell."""

    case: str
    level: str
    dice: float | None = 0.9
    hd95_mm: float | None = 1.0
    subset: str = ""
    fold: int | None = None
    assd_mm: float | None = 0.3
    reference_ml: float | None = 10.0
    predicted_ml: float | None = 10.5

    def cells(self) -> list[str]:
        error = (
            None if self.reference_ml is None or self.predicted_ml is None else self.predicted_ml - self.reference_ml
        )
        predicted_level = self.level if self.predicted_ml else "missed"
        words = (predicted_level, "yes" if self.predicted_ml else "no", "0.5000" if self.predicted_ml else "")
        measures = (self.dice, self.hd95_mm, self.assd_mm, self.reference_ml, self.predicted_ml, error)
        numbers = ["" if value is None else f"{value:.4f}" for value in measures]
        return [self.case, self.level, self.subset, "" if self.fold is None else str(self.fold), *numbers, *words]


def missed(line: Line) -> Line:
    """The same level, not found."""
    return replace(line, dice=0.0, hd95_mm=None, assd_mm=None, predicted_ml=0.0)


def write_folder(
    folder: Path,
    lines: Iterable[Line],
    title: str | None = None,
    files: Sequence[Sequence[str]] = (),
    **summary: object,
) -> Path:
    """Write scores.csv, files.csv and summary.json."""
    write_csv(folder / "scores.csv", COMPARED_COLUMNS, [line.cells() for line in lines])
    write_csv(folder / "files.csv", FILE_COLUMNS, files)
    content = {"command": "cspine evaluate", "complete": True, "title": title or folder.name, "model": None, **summary}
    (folder / "summary.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


@dataclass(frozen=True)
class Scores:
    """Made-up scores of one model; the same cases and references for every model.

    Parameters
    ----------
    subsets : dict of str to int
        Cases per subset; training cases are in five folds.
    levels : tuple of str
        Levels of the reference.
    dice, hd95_mm : float
        Typical values.
    spread : float
        Of the Dice among cases.
    seed : int
        Of the model.
    missing : float
        Share of levels that are missed.
    """

    subsets: dict[str, int] = field(default_factory=lambda: {"training": 10, "internal": 8, "external": 12})
    levels: tuple[str, ...] = CERVICAL
    dice: float = 0.94
    hd95_mm: float = 1.3
    spread: float = 0.02
    seed: int = 1
    missing: float = 0.0

    def lines(self) -> list[Line]:
        shared, own = np.random.default_rng(0), np.random.default_rng(self.seed)
        lines = []
        for subset, count in self.subsets.items():
            for number in range(count):
                hard = abs(shared.normal(0, self.spread))
                sizes = dict(zip((v.name for v in VERTEBRAE), shared.normal(0, 1.0, len(VERTEBRAE)), strict=True))
                for level in self.levels:
                    volume = 8 + 0.5 * vertebra(level).label + sizes[level]
                    dice = float(np.clip(self.dice - hard - abs(own.normal(0, self.spread / 2)), 0.05, 1))
                    distance = abs(self.hd95_mm * (1 + 15 * hard) + own.normal(0, 0.2))
                    line = Line(
                        f"{subset or 'case'}-{number:03d}", level, dice, distance, subset,
                        number % 5 if subset == "training" else None,
                        distance / 4, volume, volume * (1 + own.normal(0.01, 0.03)),
                    )  # fmt: skip
                    lines.append(missed(line) if own.random() < self.missing else line)
        return lines

    def write(self, folder: Path, title: str | None = None, **summary: object) -> Path:
        """Write the folder, with no images."""
        return write_folder(folder, self.lines(), title, **summary)


def write_images(
    root: Path, cases: Iterable[str], model: str, lost: int = 0, phantom: Phantom = SMALL
) -> list[list[str]]:
    """Write image, reference and what a model found (one level lost) of each case; return the rows of files.csv."""
    truth, affine = draw(phantom), phantom.grid().affine_lps
    rows = []
    for case in cases:
        paths = [root / "images" / f"{case}_0000.nii.gz", root / "labels" / f"{case}.nii.gz"]
        if not paths[0].exists():
            nifti.write(paths[0], hu_of(truth > 0), affine)
            nifti.write(paths[1], truth, affine)
        found = root / model / f"{case}.nii.gz"
        nifti.write(found, np.where(truth == lost, 0, truth).astype(np.uint8), affine)
        rows.append([case, str(paths[0]), str(paths[1]), "verse", str(found), "verse"])
    return rows
