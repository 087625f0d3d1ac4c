"""Rows of the table of cases, without any file: patients of a study by the hundred."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cspine.core.anatomy import CERVICAL_LEVELS, FULL_SPINE_LEVELS
from cspine.study.datasets.case_table import CaseRow
from cspine.study.datasets.exclusions import NOTHING_IN_VIEW

NECK = tuple(level.name for level in CERVICAL_LEVELS)
TRUNK = ("T11", "T12", "L1", "L2", "L3", "L4", "L5")
_SOURCES = ("VerSe 2019", "VerSe 2020", "HNSCC-3DCT-RT", "COLONOG", "MSD colon")


def case_row(case: str, **changes: object) -> CaseRow:
    """Return a case of VerSe that shows C1 to T1."""
    row = CaseRow(case, "VerSe 2019", case, f"{case}.nii.gz", 60.0, "F", (0.5, 0.5, 1.0), (300, 300, 250), "LPS", NECK)
    return replace(row, **changes)


def study_rows(patients: int, external: int, seed: int = 0) -> tuple[list[CaseRow], list[CaseRow]]:
    """Return the tables of a cervical and a full-spine dataset of a made-up study, with the same cases.

    Some patients have several scans, some show only the trunk, some necks of the external source are cut.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(patients + external):
        outside = number >= patients
        source = "TotalSegmentator" if outside else _SOURCES[int(rng.choice(5, p=(0.3, 0.25, 0.15, 0.15, 0.15)))]
        age = None if rng.random() < 0.05 else float(rng.integers(18, 95))
        levels = NECK if rng.random() < (0.6 if source not in ("COLONOG", "MSD colon") else 0) else TRUNK
        if rng.random() < 0.15 and levels == NECK:
            levels = NECK[3:]
        sex = "M" if rng.random() < 0.6 else "F"
        for scan in range(1 + int(rng.random() < 0.15)):
            row = case_row(f"p{number:04d}_{scan}", source=source, patient=f"p{number:04d}", age_years=age, sex=sex)
            partial = ("T1",) if rng.random() < 0.1 and levels == NECK else ()
            rows += [replace(row, levels=levels, partial=partial, excluded="metal" if rng.random() < 0.05 else "")]
    names = {level.name for level in FULL_SPINE_LEVELS}
    assert all(set(row.levels) <= names for row in rows)
    cervical = []
    for row in rows:
        kept = tuple(name for name in row.levels if name in NECK)
        cervical.append(replace(row, levels=kept, excluded=row.excluded or ("" if kept else NOTHING_IN_VIEW)))
    return cervical, rows
