"""The table that a paper begins with: patients, age, sex, sources and voxel sizes of each subset of a dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median, stdev

from cspine.core.anatomy import CERVICAL_LEVELS, rank, vertebra
from cspine.io.files import write_atomic
from cspine.io.tables import number, write_csv
from cspine.study.datasets.case_table import CaseRow, Subset

_SHOWN = (Subset.TRAINING, Subset.INTERNAL, Subset.EXTERNAL, Subset.UNASSIGNED, Subset.UNUSED)
_TITLES = {
    Subset.TRAINING: "Training",
    Subset.INTERNAL: "Internal validation",
    Subset.EXTERNAL: "External test",
    Subset.UNASSIGNED: "Unassigned",
    Subset.UNUSED: "Not split",
}
#: Directions by the letters of an orientation.
_DIRECTIONS = (("left-right", "LR"), ("front-back", "AP"), ("head-foot", "SI"))


@dataclass(frozen=True)
class Demographics:
    """One column of the table.

    Parameters
    ----------
    title : str
        Subset of the dataset, or all of it.
    patients, cases : int
        How many.
    ages : tuple of float
        Years, one per patient whose age is known.
    males, of_known_sex : int
        Patients.
    sources : dict of str to int
        Patients by source; one of two sources counts in both.
    spacings_mm : dict of str to tuple of float
        Voxel sizes of the cases along left-right, front-back, head-foot.
    levels : dict of str to int
        Cases in which each vertebra is in view, head to foot.
    complete_necks : int
        Cases that show C1 to T1 uncut.
    """

    title: str
    patients: int
    cases: int
    ages: tuple[float, ...]
    males: int
    of_known_sex: int
    sources: dict[str, int]
    spacings_mm: dict[str, tuple[float, ...]]
    levels: dict[str, int]
    complete_necks: int

    @property
    def age_text(self) -> str:
        """Return the mean and standard deviation (of a sample), and how many ages are known where not all are."""
        if not self.ages:
            return "not known"
        spread = f" ± {stdev(self.ages):.0f}" if len(self.ages) > 1 else ""
        return f"{fmean(self.ages):.0f}{spread} y" + self._known(len(self.ages))

    @property
    def sex_text(self) -> str:
        """Share of males among those of known sex."""
        if not self.of_known_sex:
            return "not known"
        return f"{self.males / self.of_known_sex:.0%}" + self._known(self.of_known_sex)

    def _known(self, count: int) -> str:
        return "" if count == self.patients else f" (of {count} known)"

    def spacing_text(self, direction: str) -> str:
        """Return the median and range in millimetres."""
        values = self.spacings_mm[direction]
        return f"{median(values):.2f} [{min(values):.2f}, {max(values):.2f}] mm" if values else ""

    @property
    def levels_text(self) -> str:
        """Return the cases per vertebra, runs of equal numbers together: ``C1-C7 12, T1 11``."""
        runs: list[list[str]] = []
        for name in self.levels:
            joins = runs and self.levels[runs[-1][-1]] == self.levels[name] and _is_next(runs[-1][-1], name)
            if joins:
                runs[-1].append(name)
            else:
                runs.append([name])
        return ", ".join(f"{run[0]}{'-' + run[-1] if len(run) > 1 else ''} {self.levels[run[0]]}" for run in runs)


def demographics(rows: Iterable[CaseRow]) -> list[Demographics]:
    """Return a column for each subset that has cases, and one for all that are in use; excluded cases are in none.

    Parameters
    ----------
    rows : iterable of CaseRow
        Table of a dataset.
    """
    included = [row for row in rows if not row.excluded]
    by_subset = {subset: [row for row in included if row.subset is subset] for subset in _SHOWN}
    columns = [_column(_TITLES[subset], by_subset[subset]) for subset in _SHOWN if by_subset[subset]]
    used = [row for subset in _SHOWN[:3] for row in by_subset[subset]]
    return [*columns, _column("All in use", used)] if used else columns


def as_table(columns: Sequence[Demographics]) -> list[list[str]]:
    """Return the table for readers: one row per property, one column per subset, with a row of heads first."""
    table = [
        ["", *(c.title for c in columns)],
        ["Patients", *(str(c.patients) for c in columns)],
        ["Cases", *(str(c.cases) for c in columns)],
        ["Age, mean ± SD", *(c.age_text for c in columns)],
        ["Male", *(c.sex_text for c in columns)],
    ]
    for source in sorted({source for c in columns for source in c.sources}):
        table += [[f"Patients of {source}", *(str(c.sources.get(source, 0)) for c in columns)]]
    for direction, _ in _DIRECTIONS:
        table += [[f"Voxel {direction}, median [range]", *(c.spacing_text(direction) for c in columns)]]
    table.append(["Cases with complete C1 to T1", *(str(c.complete_necks) for c in columns)])
    table.append(["Cases per vertebra", *(c.levels_text for c in columns)])
    return table


def write_demographics(folder: Path, rows: Iterable[CaseRow]) -> list[Path]:
    """Write demographics.csv (one row per subset) and demographics.md (one column per subset)."""
    columns = demographics(rows)
    names = [
        "subset", "patients", "cases", "ages_known", "age_mean", "age_sd", "sexes_known", "male_share", "sources",
        *(f"spacing_{d.replace('-', '_')}_{what}_mm" for d, _ in _DIRECTIONS for what in ("median", "min", "max")),
        "complete_neck_cases", "levels",
    ]  # fmt: skip
    paths = [folder / "demographics.csv", folder / "demographics.md"]
    write_csv(paths[0], names, [_as_numbers(column) for column in columns])
    head, *lines = as_table(columns)
    text = "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *lines)) + "\n"
    write_atomic(paths[1], lambda partial: partial.write_text(text, encoding="utf-8"))
    return paths


def _as_numbers(column: Demographics) -> list[str]:
    ages = column.ages
    spacings = []
    for direction, _ in _DIRECTIONS:
        values = column.spacings_mm[direction]
        spacings += [number(f(values)) if values else "" for f in (median, min, max)]
    return [
        column.title,
        str(column.patients),
        str(column.cases),
        str(len(ages)),
        number(fmean(ages) if ages else None, 1),
        number(stdev(ages) if len(ages) > 1 else None, 1),
        str(column.of_known_sex),
        number(column.males / column.of_known_sex if column.of_known_sex else None),
        "; ".join(f"{source} {count}" for source, count in sorted(column.sources.items())),
        *spacings,
        str(column.complete_necks),
        column.levels_text,
    ]


def _column(title: str, rows: Sequence[CaseRow]) -> Demographics:
    by_patient: dict[str, list[CaseRow]] = {}
    for row in sorted(rows, key=lambda row: row.case):
        by_patient.setdefault(row.patient, []).append(row)
    ages = [next((r.age_years for r in own if r.age_years is not None), None) for own in by_patient.values()]
    sexes = [next((r.sex for r in own if r.sex), "") for own in by_patient.values()]
    levels = Counter(name for row in rows for name in row.levels)
    neck = {level.name for level in CERVICAL_LEVELS}
    return Demographics(
        title=title,
        patients=len(by_patient),
        cases=len(rows),
        ages=tuple(age for age in ages if age is not None),
        males=sexes.count("M"),
        of_known_sex=sum(bool(sex) for sex in sexes),
        sources=dict(Counter(source for own in by_patient.values() for source in {row.source for row in own})),
        spacings_mm={name: tuple(_spacing(row, letters) for row in rows) for name, letters in _DIRECTIONS},
        levels={name: levels[name] for name in sorted(levels, key=lambda name: rank(vertebra(name).label))},
        complete_necks=sum(set(row.levels) - set(row.partial) >= neck for row in rows),
    )


def _spacing(row: CaseRow, letters: str) -> float:
    """Return the voxel size along the axis that points to one of two sides of the patient."""
    return next(step for step, side in zip(row.spacing_mm, row.orientation, strict=True) if side in letters)


def _is_next(name: str, other: str) -> bool:
    return rank(vertebra(other).label) - rank(vertebra(name).label) == 1
