"""The correction file: levels that a data set names wrongly, and what they are.

Reviewers of public data sets have found cases whose levels are shifted, by a transitional vertebra or a wrong count.
Such a case need not be lost: its labels are renamed when it is converted.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cspine.core.anatomy import parse_name, vertebra
from cspine.core.errors import DatasetError
from cspine.core.volumes import LabelVolume, labels_present, relabelled
from cspine.io.documents import DocumentError, read_csv
from cspine.io.tables import write_csv

_COLUMNS = ("case", "level", "corrected")
#: New label by label of the data set; 0 removes it.
Correction = Mapping[int, int]


def read_corrections(path: Path) -> dict[str, Correction]:
    """Return the corrections by case.

    Parameters
    ----------
    path : Path
        CSV file with the columns ``case``, ``level`` (as the data set names it) and ``corrected`` (what it is; empty to
        remove the label). A case may have many rows, which apply at once: a shift by one level is a row for each.

    Raises
    ------
    DatasetError
        If it cannot be read, a name is not a level, a level has two corrections, or two become one.
    """
    try:
        columns, table = read_csv(path, ragged=True)
    except DocumentError as error:
        raise DatasetError(f"the correction file {path.name} {error}") from error
    except OSError as error:
        raise DatasetError(f"the correction file {path.name} cannot be read") from error
    if not set(_COLUMNS) <= set(columns):
        raise DatasetError(f"{path.name} needs the columns case, level and corrected")
    found: dict[str, dict[int, int]] = {}
    for row in table:
        case, level, corrected = (row.get(name, "").strip() for name in _COLUMNS)
        if not case:
            continue
        changes = found.setdefault(case, {})
        label = _label(level, path)
        if label in changes:
            raise DatasetError(f"{path.name} corrects {level} of {case} twice")
        changes[label] = _label(corrected, path) if corrected else 0
    for case, changes in found.items():
        targets = [label for label in changes.values() if label]
        if len(set(targets)) < len(targets):
            raise DatasetError(f"{path.name} gives two levels of {case} the same name")
    return dict(found)


def write_corrections(path: Path, corrections: Mapping[str, Correction]) -> None:
    """Write a file that `read_corrections` reads.

    Parameters
    ----------
    path : Path
        File to write.
    corrections : mapping of str to Correction
        Corrections by case.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    rows = [
        [case, vertebra(label).name, vertebra(new).name if new else ""]
        for case, changes in sorted(corrections.items())
        for label, new in sorted(changes.items())
    ]
    write_csv(path, _COLUMNS, rows)


def _label(level: str, path: Path) -> int:
    known = parse_name(level)
    if known is None:
        raise DatasetError(f"{path.name}: {level!r} is not a level", advice="Give levels such as C7, T13 or L6.")
    return known.label


def corrected(labels: LabelVolume, correction: Correction, case: str) -> LabelVolume:
    """Return labels with their corrected levels.

    Parameters
    ----------
    labels : LabelVolume
        Labels of `cspine.core.anatomy`.
    correction : mapping of int to int
        From `read_corrections`.
    case : str
        Name of the case, for the message.

    Raises
    ------
    DatasetError
        If a level that is corrected is not there, or a corrected one would be added to another that stays.
    """
    present = set(labels_present(labels.labels_zyx))
    if absent := sorted(set(correction) - present):
        raise DatasetError(f"{case} has no label {absent[0]} to correct")
    staying = present - set(correction)
    if taken := sorted(staying & set(correction.values())):
        raise DatasetError(f"{case} has label {taken[0]} already: correct that one, too")
    numbers = {label: correction.get(label, label) for label in present}
    return LabelVolume(relabelled(labels.labels_zyx, numbers), labels.affine_lps, labels.model)
