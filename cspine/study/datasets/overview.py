"""An overview of a dataset: counts of cases, doubts and vertebrae, and the rows of its picture sheet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cspine.core.anatomy import CERVICAL_LEVELS, rank, vertebra
from cspine.core.errors import CSpineError
from cspine.core.volumes import LabelVolume
from cspine.io import nifti
from cspine.io.tables import write_csv
from cspine.report.sheet_rows import SheetRow
from cspine.study.datasets.case_records import doubts_of
from cspine.study.datasets.case_table import CaseRow, Subset, split_checksum
from cspine.study.datasets.dataset_folder import SPLITS, DatasetFolder, kind_of

_SUBSETS = (Subset.TRAINING, Subset.INTERNAL, Subset.EXTERNAL, Subset.UNASSIGNED, Subset.UNUSED)
EXCLUDED = "excluded"
#: Columns of the counts: each subset, and the excluded cases.
COLUMNS = (*(subset.value for subset in _SUBSETS), EXCLUDED)


def counts_by_source(rows: Sequence[CaseRow]) -> list[list[str]]:
    """Return one row per source: its name, its cases in each of `COLUMNS`, its patients, its doubtful cases."""
    listed = []
    for source in [*sorted({row.source for row in rows}), ""]:
        own = [row for row in rows if source in (row.source, "")]
        columns = Counter(_column(row) for row in own)
        doubtful = sum(bool(row.doubts) for row in own)
        counts = [*(columns[column] for column in COLUMNS), len({row.patient for row in own}), doubtful]
        listed.append([source or "all", *(str(count) for count in counts)])
    return listed


def counts_by_fold(rows: Sequence[CaseRow]) -> list[list[str]]:
    """Return one row per fold: its number, patients, cases, and cases of each source in words."""
    listed = []
    for fold in sorted({row.fold for row in rows if row.fold is not None}):
        own = [row for row in rows if row.fold == fold and row.subset is Subset.TRAINING]
        sources = ", ".join(f"{source} {n}" for source, n in sorted(Counter(row.source for row in own).items()))
        listed.append([str(fold), str(len({row.patient for row in own})), str(len(own)), sources])
    return listed


def counts_by_doubt(rows: Sequence[CaseRow]) -> list[list[str]]:
    """Return one row per kind of doubt, the most frequent first: the kind, cases in use that have it, excluded ones."""
    in_use, out = Counter[str](), Counter[str]()
    for row in rows:
        (out if row.excluded else in_use).update({doubt.partition(":")[0] for doubt in row.doubts})
    kinds = sorted(in_use | out, key=lambda kind: (-in_use[kind] - out[kind], kind))
    return [[kind, str(in_use[kind]), str(out[kind])] for kind in kinds]


def counts_by_reason(rows: Sequence[CaseRow]) -> list[list[str]]:
    """Return one row per reason for exclusion, with its cases."""
    counts = Counter(row.excluded for row in rows if row.excluded)
    return [[reason, str(count)] for reason, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]


def write_levels(path: Path, rows: Sequence[CaseRow]) -> None:
    """Write one row per vertebra: cases of each subset in which it is in view, and in how many it is cut."""
    in_view = Counter((name, _column(row)) for row in rows for name in row.levels)
    cut = Counter(name for row in rows if not row.excluded for name in row.partial)
    names = sorted({name for name, _ in in_view}, key=lambda name: rank(vertebra(name).label))
    lines = [[name, *(str(in_view[name, column]) for column in COLUMNS), str(cut[name])] for name in names]
    write_csv(path, ("level", *COLUMNS, "truncated by the edge"), lines)


def as_summary(dataset: DatasetFolder, rows: Sequence[CaseRow]) -> dict[str, Any]:
    """Return what summary.json says of a dataset."""
    is_split = (dataset.root / SPLITS).is_file()
    return {
        "dataset": dataset.root.resolve().name,
        "label_set": dataset.label_set().name,
        "cases": len(rows),
        "patients": len({row.patient for row in rows}),
        "subsets": dict(Counter(_column(row) for row in rows)),
        "doubtful": sum(bool(row.doubts) for row in rows),
        "exclusions": dict(Counter(row.excluded for row in rows if row.excluded)),
        "split": split_checksum(rows) if is_split else None,
    }


def to_show(rows: Sequence[CaseRow], count: int) -> list[CaseRow]:
    """Return the cases of a sheet: the doubtful ones first, the most doubtful at the top, then others of every source.

    Parameters
    ----------
    rows : sequence of CaseRow
        The cases; those without a vertebra of the label set have no picture.
    count : int
        How many to show.
    """
    pictured = sorted((row for row in rows if row.levels), key=lambda row: row.case)
    doubtful = sorted((row for row in pictured if row.doubts), key=lambda row: (bool(row.excluded), -len(row.doubts)))
    sound: list[tuple[int, str, CaseRow]] = []
    seen: Counter[tuple[str, str]] = Counter()
    for row in pictured:
        if not row.doubts:
            kind = (row.source, _column(row))
            sound.append((seen[kind], row.case, row))
            seen[kind] += 1
    return [*doubtful, *(row for *_, row in sorted(sound, key=lambda entry: entry[:2]))][:count]


def sheet_rows(dataset: DatasetFolder, rows: Sequence[CaseRow]) -> Iterator[SheetRow]:
    """Yield the rows of a picture sheet, each read when it is asked for.

    Parameters
    ----------
    dataset : DatasetFolder
        Where the files are.
    rows : sequence of CaseRow
        From `to_show`.
    """
    labels = dataset.label_set()
    for row in rows:
        image, reference = dataset.pair(dataset.where(row.case) or kind_of(row), row.case)
        try:
            ct, network = nifti.read_ct(image), nifti.read_labels(reference)
            sentences = [f"- {doubt.kind}: {doubt.sentence}" for doubt in doubts_of(dataset, row.case)]
        except CSpineError as error:
            yield SheetRow(row.case, False, "cannot be read", (error.message,), ct=None, labels=None)
            continue
        shown = LabelVolume(labels.to_anatomy(network.labels_zyx), network.affine_lps)
        relevant = sentences if row.doubts else []
        yield SheetRow(
            row.case, not row.doubts and not row.excluded, _headline(row), (*relevant, *_about(row)), ct, shown,
            caption="labels", full_column=labels.levels[-1].label != CERVICAL_LEVELS[-1].label,
        )  # fmt: skip


def _headline(row: CaseRow) -> str:
    place = row.subset.value if row.fold is None else f"{row.subset.value}, fold {row.fold}"
    doubts = f", {len(row.doubts)} doubt{'s' if len(row.doubts) > 1 else ''}" if row.doubts else ""
    return (EXCLUDED if row.excluded else "not split" if row.subset is Subset.UNUSED else place) + doubts


def _about(row: CaseRow) -> Iterator[str]:
    if row.excluded:
        yield f"- excluded: {row.excluded}"
    age = "age not known" if row.age_years is None else f"{row.age_years:.0f} y"
    yield f"{row.source}, {age}, {row.sex or 'sex not known'}"
    yield f"{' x '.join(f'{step:.2f}' for step in row.spacing_mm)} mm {row.orientation}"
    yield f"{row.levels[0]} to {row.levels[-1]}" + (f", truncated:  {', '.join(row.partial)}" if row.partial else "")


def _column(row: CaseRow) -> str:
    return EXCLUDED if row.excluded else row.subset.value
