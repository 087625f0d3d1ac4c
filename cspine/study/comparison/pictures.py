"""The worst cases as pictures: the prediction of each model beside the reference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cspine.core.errors import CaseGridError, CSpineError
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.io import nifti
from cspine.pipeline.label_schemes import SEG
from cspine.pipeline.scheme_files import read_labels
from cspine.report.sheet import write_sheets
from cspine.report.sheet_rows import SheetRow, below_neck
from cspine.study.comparison.alignment import Alignment
from cspine.study.comparison.reading import Evaluation
from cspine.study.comparison.words import fixed, subset_title
from cspine.study.grids import on_grid

_LOWEST = 4
#: A case below this mean Dice is headed as one that needs a look, even with every level found.
_WELL_DRAWN_DICE = 0.5


@dataclass(frozen=True)
class Picture:
    """One case as a picture.

    Parameters
    ----------
    name : str
        Of its file.
    case : str
        The case.
    caption : str
        Why it is shown.
    remarks : tuple of str
        What could not be read.
    """

    name: str
    case: str
    caption: str
    remarks: tuple[str, ...]


def worst_cases(cohort: Alignment, count: int) -> list[tuple[str, str, float]]:
    """Return the cases with the lowest mean Dice of any model: case, title of that model, Dice; worst first.

    Parameters
    ----------
    cohort : Alignment
        The evaluations.
    count : int
        How many cases.
    """
    lowest: dict[str, tuple[float, str]] = {}
    for model in cohort.models:
        compared = {
            level
            for group in cohort.groups
            if group.single and not cohort.outside(model, group)
            for level in group.levels
        }
        for case, rows in model.by_case.items():
            dice = [row.dice for level, row in rows.items() if row.dice is not None and level in compared]
            if dice:
                own = (float(np.mean(dice)), model.title)
                lowest[case] = min(lowest.get(case, own), own, key=lambda found: found[0])
    ordered = sorted(lowest.items(), key=lambda item: (item[1][0], item[0]))
    return [(case, title, dice) for case, (dice, title) in ordered[:count]]


def write_pictures(cohort: Alignment, count: int, folder: Path) -> list[Picture]:
    """Draw the worst cases, one file per case with one row per model; OutputError if one cannot be written.

    Parameters
    ----------
    cohort : Alignment
        The evaluations, with their files.csv.
    count : int
        How many cases.
    folder : Path
        Where ``worst-1.png`` and so on go.
    """
    pictures = []
    for number, (case, title, dice) in enumerate(worst_cases(cohort, count), 1):
        name = f"worst-{number}"
        remarks: list[str] = []
        having = [model for model in cohort.models if case in model.by_case]
        rows = _rows(having, case, remarks)
        subset = cohort.subset_of[case]
        heading = f"{case} ({subset_title(subset)})" if subset else case
        write_sheets(rows, len(having), heading, folder, stem=name)
        caption = f"{heading}: mean Dice {fixed(dice, 3)} of {title}"
        pictures.append(Picture(name, case, caption, tuple(dict.fromkeys(remarks))))
    return pictures


def _rows(models: list[Evaluation], case: str, remarks: list[str]) -> Iterator[SheetRow]:
    """Yield one row per model, read on demand."""
    for model in models:
        scores = [row for row in model.by_case[case].values() if row.dice is not None]
        mean = float(np.mean([row.dice for row in scores if row.dice is not None])) if scores else None
        missed = [row.level for row in scores if row.in_reference and not row.in_found]
        false = [row.level for row in scores if row.in_found and not row.in_reference]
        weak = sorted(scores, key=lambda row: row.dice or 0.0)[:_LOWEST]
        lines = [f"- missed: {', '.join(missed)}"] if missed else []
        lines += [f"- not in the reference: {', '.join(false)}"] if false else []
        lines += ["lowest: " + ", ".join(f"{row.level} {row.dice:.2f}" for row in weak)] if weak else []
        ct, found, reference, why = _read(model, case)
        remarks += [f"{model.title}: {remark}" for remark in why]
        headline = "no Dice" if mean is None else f"mean Dice {mean:.3f}"
        good = not missed and not false and mean is not None and mean >= _WELL_DRAWN_DICE
        full_column = below_neck(row.level for row in scores)
        yield SheetRow(model.title, good, headline, (*lines, *why), ct, found, reference, full_column=full_column)


def _read(model: Evaluation, case: str) -> tuple[CtVolume | None, LabelVolume | None, LabelVolume | None, list[str]]:
    """Return image, prediction and reference on one grid as far as they can be read, and what cannot."""
    files = model.files.get(case)
    if files is None:
        return None, None, None, ["files.csv does not name its images"]
    why: list[str] = []
    found = _labels(files.prediction, files.prediction_scheme, why)
    reference = _labels(files.reference, files.reference_scheme, why)
    ct = _image(files.image, why)
    if found is None:
        return None, None, None, why
    grid = (ct or reference or found).grid
    try:
        found = on_grid(found, grid, partial=files.prediction_scheme == SEG)
        partial = files.reference_scheme == SEG
        reference = None if reference is None else on_grid(reference, grid, partial=partial)
    except CaseGridError:
        why.append("image, reference and result lie on different grids")
        return None, found, None, why
    return ct, found, reference, why


def _image(path: Path | None, why: list[str]) -> CtVolume | None:
    if path is None:
        why.append("no image: labels only")
        return None
    try:
        return nifti.read_ct(path)
    except (CSpineError, OSError):
        why.append(f"{path.name} cannot be read: labels only")
        return None


def _labels(path: Path | None, scheme: str, why: list[str]) -> LabelVolume | None:
    if path is None:
        why.append("no vertebra was predicted")
        return None
    try:
        return read_labels(path, scheme)
    except (CSpineError, OSError, KeyError):  # KeyError: a scheme of another version
        why.append(f"{path.name} cannot be read")
        return None
