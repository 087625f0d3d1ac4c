"""The synthetic cohort of a dry run: synthesised in parallel, in the layouts of the public data sets, resumable."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cspine.core.errors import OutOfMemoryError
from cspine.core.geometry import reorientation
from cspine.core.volumes import CtVolume, LabelArray, LabelVolume
from cspine.io.processes import DIED, Died, run_each
from cspine.io.workspace import Records, unchanged
from cspine.study.dry_run.layouts import (
    Person,
    write_ctspine1k,
    write_hnscc,
    write_msd_colon,
    write_totalsegmentator,
    write_verse,
    write_verse_flat,
)
from cspine.study.dry_run.plan import PlannedScan, Source
from cspine.study.synthesis.spine.case import EDITION, SpineSettings, synthesize_spine
from cspine.study.synthesis.spine.forms import SpineForms, parametric_forms
from cspine.study.synthesis.spine.mesh_forms import mesh_forms, meshes_checksum

#: Voxel size along x, y, z and where the axes point, by source: no two data sets store their images alike.
STORED: dict[Source, tuple[tuple[float, float, float], str]] = {
    Source.VERSE_2019: ((2.5, 2.5, 3.0), "LAS"),
    Source.VERSE_2020: ((2.4, 2.4, 3.2), "PIR"),
    Source.HNSCC: ((2.6, 2.6, 3.0), "LPS"),
    Source.CTSPINE1K: ((2.5, 2.5, 2.5), "RAS"),
    Source.MSD_COLON: ((2.8, 2.8, 3.5), "LAS"),
    Source.TOTALSEGMENTATOR: ((3.0, 3.0, 3.0), "RAS"),
}
_INTERNAL_MM = 1.6
_RECORDS = ".dry-run"


@dataclass(frozen=True)
class SyntheticCohort:
    """Where a cohort lies.

    Parameters
    ----------
    root : Path
        Folder with one folder per data set, named as the options of `cspine dataset convert`.
    meshes : Path or None
        Folder of the atlas's meshes; bones made of simple solids if omitted.
    """

    root: Path
    meshes: Path | None = None

    def folder(self, source: Source) -> Path:
        """Return the folder of a data set."""
        return self.root / source.value


def make_cohort(
    cohort: SyntheticCohort, scans: tuple[PlannedScan, ...], jobs: int, progress: Callable[[int, int], None]
) -> tuple[int, int]:
    """Synthesise and write the scans that do not exist yet.

    Parameters
    ----------
    cohort : SyntheticCohort
        Where.
    scans : tuple of PlannedScan
        From `plan.plan_cohort`.
    jobs : int
        Processes.
    progress : callable
        Called with the number of finished scans and of all scans.

    Returns
    -------
    made, kept : int

    Raises
    ------
    AtlasError
        If the meshes cannot be used.
    OutputError
        If the folder cannot be written.
    """
    bones = _bones(cohort)
    todo = [scan for scan in scans if not _is_there(cohort, scan, bones)]
    cached = len(scans) - len(todo)
    progress(cached, len(scans))
    if not todo:
        return 0, cached
    if cohort.meshes is not None:
        mesh_forms(cohort.meshes, cohort.root)  # measured once, then kept for the processes
    done = cached

    def take(index: int, scanned: tuple[CtVolume, LabelVolume] | Died) -> None:
        """Write a scan, here: the table of a data set's patients is one file for all of them."""
        nonlocal done
        scan = todo[index]
        if scanned is DIED:
            raise OutOfMemoryError(
                f"the process that made {_name(scan)} died, most often because it ran out of memory",
                advice="Use fewer jobs.",
            )
        _write(cohort, scan, *scanned)
        _records(cohort).write(_name(scan), _told(scan, bones))
        done += 1
        progress(done, len(scans))

    run_each(partial(_drawn, cohort), todo, jobs, take)
    return len(todo), cached


def draw(forms: SpineForms, scan: PlannedScan) -> tuple[CtVolume, LabelVolume]:
    """Synthesise one scan, stored as its source stores images.

    Parameters
    ----------
    forms : SpineForms
        The bones.
    scan : PlannedScan
        What it shows.

    Returns
    -------
    ct : CtVolume
    labels : LabelVolume
        Labels of `cspine.core.anatomy`, and 26 for the sacrum.
    """
    spacing, axes = STORED[scan.source]
    view = (scan.first, scan.last)
    ct, labels = synthesize_spine(forms, scan.seed, SpineSettings(spacing, view, internal_mm=_INTERNAL_MM))
    to_axes = reorientation(ct.affine_lps, axes)
    affine = to_axes.grid(ct.grid).affine_lps
    stored = np.ascontiguousarray(to_axes.apply(labels.labels_zyx))
    if scan.swapped:
        stored = _swapped(stored)
    return CtVolume(np.ascontiguousarray(to_axes.apply(ct.hu_zyx)), affine), LabelVolume(stored, affine)


def _swapped(labels_zyx: LabelArray) -> LabelArray:
    """Exchange the labels of two neighbours in the middle of the labelled column."""
    present = [int(v) for v in np.unique(labels_zyx) if 0 < v < 26]
    upper, lower = present[len(present) // 2 - 1 : len(present) // 2 + 1]
    table = np.arange(256, dtype=np.uint8)
    table[upper], table[lower] = lower, upper
    return table[labels_zyx]


def _bones(cohort: SyntheticCohort) -> str:
    """Return a name for what the bones are made from; AtlasError if it cannot be used."""
    return meshes_checksum(cohort.meshes) if cohort.meshes is not None else "solids"


@cache
def _forms(meshes: Path | None, kept_in: Path) -> SpineForms:
    return mesh_forms(meshes, kept_in) if meshes is not None else parametric_forms()


def _records(cohort: SyntheticCohort) -> Records[dict[str, Any]]:
    return Records(cohort.root / _RECORDS, unchanged, unchanged)


def _name(scan: PlannedScan) -> str:
    return f"{scan.source.value}-{scan.number:03d}"


def _told(scan: PlannedScan, bones: str) -> dict[str, Any]:
    return {"edition": EDITION, "bones": bones, "stored": json.dumps(STORED[scan.source]), **asdict(scan)}


def _is_there(cohort: SyntheticCohort, scan: PlannedScan, bones: str) -> bool:
    """Return whether a scan was written completely: its record is written last."""
    return _records(cohort).read(_name(scan)) == _told(scan, bones)


def _drawn(cohort: SyntheticCohort, scan: PlannedScan) -> tuple[CtVolume, LabelVolume]:
    torch.set_num_threads(1)
    return draw(_forms(cohort.meshes, cohort.root), scan)


def _write(cohort: SyntheticCohort, scan: PlannedScan, ct: CtVolume, labels: LabelVolume) -> None:
    folder, masks = cohort.folder(scan.source), cohort.folder(Source.CTSPINE1K)
    person = Person(scan.age_years, scan.sex)
    if scan.source is Source.VERSE_2019 and scan.number % 4 == 0:
        write_verse_flat(folder, scan.number, ct, labels)  # its test part is known in the older layout
    elif scan.source in (Source.VERSE_2019, Source.VERSE_2020):
        first = 0 if scan.source is Source.VERSE_2019 else 500
        write_verse(folder, first + scan.number, ct, labels, person)
    elif scan.source is Source.HNSCC:
        write_hnscc(folder, masks, scan.number, ct, labels, person)
    elif scan.source is Source.CTSPINE1K:
        write_ctspine1k(folder, f"volume-covid19-A-{scan.number:04d}", ct, labels)
    elif scan.source is Source.MSD_COLON:
        write_msd_colon(folder, masks, scan.number, ct, labels)
    else:
        write_totalsegmentator(folder, scan.number, ct, labels, person)
