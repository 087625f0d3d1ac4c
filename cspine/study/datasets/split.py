"""The split into training, internal validation and external test: by patient, the same in all datasets of a study.

Nothing is read or written here but rows of the table of cases.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from cspine.core.anatomy import CERVICAL_LEVELS
from cspine.core.errors import SplitError
from cspine.study.datasets.balance import distribute
from cspine.study.datasets.case_table import CaseRow, Subset

#: Age groups begin at these years.
_AGE_GROUPS = (40, 60, 75)


class InternalFrom(StrEnum):
    """The origin of the patients of the internal validation, which the paper does not state."""

    TOP = "top"
    TRAINING = "training"


@dataclass(frozen=True)
class SplitSettings:
    """The settings of a split; the numbers are the paper's if omitted.

    Parameters
    ----------
    training, internal, external : int
        Patients of each subset.
    internal_from : InternalFrom
        ``top``: the internal patients come on top of those for training; ``training``: they are taken out of them.
    external_source : str
        Source of the external test; its patients are in no other subset.
    complete_levels : tuple of str
        Vertebrae that must be complete in an external case.
    folds : int
        Folds of the training patients.
    seed : int
        Another seed gives another split.
    scale : bool
        True to take as many patients as there are, in the same proportions, where there are fewer than asked.
    remaining : Subset
        Subset of patients whom only later datasets of the study can use: training, or unassigned.
    """

    training: int = 172
    internal: int = 37
    external: int = 268
    internal_from: InternalFrom = InternalFrom.TOP
    external_source: str = "TotalSegmentator"
    complete_levels: tuple[str, ...] = tuple(level.name for level in CERVICAL_LEVELS)
    folds: int = 5
    seed: int = 0
    scale: bool = False
    remaining: Subset = Subset.TRAINING


@dataclass(frozen=True, eq=False)
class _Patient:
    """The usable cases of a patient, by dataset."""

    name: str
    cases: tuple[tuple[CaseRow, ...], ...]
    is_external: bool

    @property
    def rows(self) -> list[CaseRow]:
        return [row for rows in self.cases for row in rows]

    @property
    def kinds(self) -> tuple[Hashable, ...]:
        """Return the source, vertebrae in view, sex, age group, and the datasets that can use the patient."""
        rows = self.rows
        sex = next((row.sex for row in rows if row.sex), "")
        age = next((row.age_years for row in rows if row.age_years is not None), None)
        group = None if age is None else sum(age >= start for start in _AGE_GROUPS)
        used = tuple(bool(rows) for rows in self.cases)
        return (
            min(row.source for row in rows),
            _region({name for row in rows for name in row.levels}),
            sex,
            group,
            used,
        )


def split(datasets: Sequence[Sequence[CaseRow]], settings: SplitSettings) -> list[list[CaseRow]]:
    """Return the rows of each dataset with their subsets and folds; those of an earlier split are discarded.

    A patient lies in one subset and one fold in every dataset. The numbers count the patients whom the first dataset
    can use: with a case that is not excluded and shows a vertebra of its label set.

    Parameters
    ----------
    datasets : sequence of sequence of CaseRow
        The tables of the study's datasets; the first one leads.
    settings : SplitSettings
        Numbers and options.

    Raises
    ------
    SplitError
        If there are fewer patients than asked, or a case belongs to another patient in another dataset.
    """
    _refuse_two_patients(datasets)
    patients = _patients(datasets, settings.external_source)
    pool = [p for p in patients if not p.is_external and p.cases[0]]
    tested = [p for p in patients if p.is_external and any(_is_complete(row, settings) for row in p.cases[0])]
    sizes = _sizes(len(pool), len(tested), sum(p.is_external for p in patients), settings)
    subsets: dict[str, Subset] = {p.name: Subset.UNASSIGNED for p in patients}
    pool_sizes = {subset: sizes[subset] for subset in (Subset.TRAINING, Subset.INTERNAL)}
    subsets |= _assigned(pool, pool_sizes, f"{settings.seed} parts")  # part of the seed: it keeps every split as it was
    subsets |= _assigned(tested, {Subset.EXTERNAL: sizes[Subset.EXTERNAL]}, f"{settings.seed} external")
    subsets |= {p.name: settings.remaining for p in patients if not p.is_external and not p.cases[0]}
    learners = [p for p in patients if subsets[p.name] is Subset.TRAINING]
    folds = _folds(learners, settings)
    return [[_placed(row, subsets, folds, settings) for row in rows] for rows in datasets]


def splits_final(rows: Iterable[CaseRow]) -> list[dict[str, list[str]]]:
    """Return nnU-Net's list of folds: for each the cases that it is trained on, and those that it is validated on.

    Parameters
    ----------
    rows : iterable of CaseRow
        Every case of a dataset that was split.

    Returns
    -------
    list of dict
        For each fold the names of its ``train`` and ``val`` cases, as nnU-Net's splits_final.json has them.
    """
    learners = sorted((row for row in rows if row.subset is Subset.TRAINING), key=lambda row: row.case)
    folds = sorted({row.fold for row in learners if row.fold is not None})
    return [
        {
            "train": [row.case for row in learners if row.fold != fold],
            "val": [row.case for row in learners if row.fold == fold],
        }
        for fold in folds
    ]


def _refuse_two_patients(datasets: Sequence[Sequence[CaseRow]]) -> None:
    owner: dict[str, str] = {}
    for rows in datasets:
        for row in rows:
            if owner.setdefault(row.case, row.patient) != row.patient:
                raise SplitError(
                    f"case {row.case} is of patient {owner[row.case]} in one dataset and of {row.patient} in another",
                    advice="Convert both with the same `demographics` table.",
                )


def _patients(datasets: Sequence[Sequence[CaseRow]], external_source: str) -> list[_Patient]:
    """Return the patients with a usable case in one of the datasets, by name."""
    usable: dict[str, list[list[CaseRow]]] = defaultdict(lambda: [[] for _ in datasets])
    external = set()
    for place, rows in enumerate(datasets):
        for row in rows:
            if row.source == external_source:
                external.add(row.patient)
            if not row.excluded and row.levels:
                usable[row.patient][place].append(row)
    return [
        _Patient(name, tuple(tuple(rows) for rows in cases), name in external) for name, cases in sorted(usable.items())
    ]


def _is_complete(row: CaseRow, settings: SplitSettings) -> bool:
    """Return whether a case fits the external test."""
    in_view = set(row.levels) - set(row.partial)
    return row.source == settings.external_source and in_view >= set(settings.complete_levels)


def _sizes(pool: int, tested: int, of_source: int, settings: SplitSettings) -> dict[Subset, int]:
    """Return the patients of each subset; raises SplitError, with what is there, where there are too few."""
    on_top = settings.internal_from is InternalFrom.TOP
    if not on_top and settings.internal >= settings.training:
        raise SplitError(f"{settings.internal} internal patients cannot be chosen among {settings.training}")
    total = settings.training + settings.internal if on_top else settings.training
    internal, external = settings.internal, settings.external
    if settings.scale and pool < total:
        internal = max(min(internal, 1), round(pool * internal / total))
        total = pool
    if settings.scale and tested < external:
        external = tested
    lacking = []
    if pool < total:
        lacking.append(f"training and internal validation need {total} patients, {pool} are there")
    if tested < external or (settings.scale and settings.external and not tested):
        lacking.append(
            f"the external test needs {settings.external} patients of {settings.external_source} with "
            f"{settings.complete_levels[0]} to {settings.complete_levels[-1]} complete in view, "
            f"{tested} are there among {of_source}"
        )
    if not lacking and total - internal < settings.folds:
        lacking.append(f"{settings.folds} folds need as many patients for training, {total - internal} are there")
    if lacking:
        fewer = "request fewer (`external` 0: no external test)" if settings.scale else "request fewer, or give `scale`"
        advice = f"Convert more sources, or {fewer}: `cspine dataset summary` counts the available patients."
        raise SplitError("; ".join(lacking), advice=advice)
    return {Subset.TRAINING: total - internal, Subset.INTERNAL: internal, Subset.EXTERNAL: external}


def _assigned(patients: Sequence[_Patient], sizes: Mapping[Subset, int], seed: str) -> dict[str, Subset]:
    """Return the patients of each subset that was asked for; the others are unassigned."""
    order = [*sizes, Subset.UNASSIGNED]
    counts = [*sizes.values(), len(patients) - sum(sizes.values())]
    placed = distribute({p.name: p.kinds for p in patients}, counts, seed)
    return {name: order[group] for name, group in placed.items()}


def _folds(patients: Sequence[_Patient], settings: SplitSettings) -> dict[str, int]:
    """Return the equal folds of the patients whom the first dataset can use, and equal folds of all."""
    leading = {p.name: p.kinds for p in patients if p.cases[0]}
    others = {p.name: p.kinds for p in patients if not p.cases[0]}
    sizes = _equal(len(leading), settings.folds)
    totals = _equal(len(patients), settings.folds)
    filled = [total - own for total, own in zip(totals, sizes, strict=True)]
    return distribute(leading, sizes, f"{settings.seed} folds") | distribute(
        others, filled, f"{settings.seed} other folds"
    )


def _equal(count: int, groups: int) -> list[int]:
    return [count // groups + (group < count % groups) for group in range(groups)]


def _placed(row: CaseRow, subsets: Mapping[str, Subset], folds: Mapping[str, int], settings: SplitSettings) -> CaseRow:
    if row.excluded or not row.levels:
        return replace(row, subset=Subset.UNUSED, fold=None)
    subset = subsets[row.patient]
    if subset is Subset.EXTERNAL and not _is_complete(row, settings):
        subset = Subset.UNASSIGNED
    return replace(row, subset=subset, fold=folds[row.patient] if subset is Subset.TRAINING else None)


def _region(levels: set[str]) -> str:
    cervical = {level.name for level in CERVICAL_LEVELS}
    if levels >= cervical:
        return "whole neck"
    return "part of the neck" if levels & cervical else "below the neck"
