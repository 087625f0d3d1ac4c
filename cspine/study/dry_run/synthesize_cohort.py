"""The complete workflow of `cspine dataset dry-run`: a synthetic cohort in the layouts of the public data sets."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from cspine.core.progress import ProgressCallback
from cspine.io.machine import usable_cores
from cspine.study.datasets.sources.collect import Folders
from cspine.study.dry_run.plan import PlannedScan, Source, plan_cohort
from cspine.study.dry_run.synthetic_cohort import SyntheticCohort, make_cohort


@dataclass(frozen=True)
class WrittenCohort:
    """A synthetic cohort that was written.

    Parameters
    ----------
    place : SyntheticCohort
        Where it lies.
    scans : tuple of PlannedScan
        Its scans, one per patient.
    made, kept : int
        Scans that this call wrote, and that an earlier one had written.
    """

    place: SyntheticCohort
    scans: tuple[PlannedScan, ...]
    made: int
    kept: int

    @property
    def folders(self) -> Folders:
        """Return the folder of each data set, as `convert` takes them."""
        of = self.place.folder
        return Folders(
            verse2019=of(Source.VERSE_2019),
            verse2020=of(Source.VERSE_2020),
            ctspine1k=of(Source.CTSPINE1K),
            hnscc=of(Source.HNSCC),
            msd_colon=of(Source.MSD_COLON),
            totalsegmentator=of(Source.TOTALSEGMENTATOR),
        )

    def scans_by_folder(self) -> dict[Path, int]:
        """Return the folder of each data set with its number of scans."""
        return {self.place.folder(source): count for source, count in Counter(s.source for s in self.scans).items()}


def synthesize_cohort(
    out: str | PathLike[str],
    patients: int = 30,
    *,
    seed: int = 0,
    meshes: str | PathLike[str] | None = None,
    jobs: int | None = None,
    progress: ProgressCallback = lambda done, total: None,
) -> WrittenCohort:
    """Generate a small synthetic cohort for a dry run of the study, in the layouts of the public data sets.

    Parameters
    ----------
    out : path
        Folder with one folder per data set; existing scans are kept.
    patients : int
        Number of patients, 12 or more.
    seed : int
        Another seed gives other patients.
    meshes : path, optional
        Folder of the atlas's meshes; bones are made of simple solids if omitted.
    jobs : int, optional
        Processes; one per core if omitted.
    progress : callable
        Gets the scans done and all of them.

    Returns
    -------
    WrittenCohort
        Voxels are coarse (2.4 to 3.5 mm) and stored in different orientations; the labels of one case are wrong on
        purpose.

    Raises
    ------
    UsageError
        If there are too few patients.
    AtlasError
        If the meshes cannot be used.
    OutputError
        If the folder cannot be written.

    Examples
    --------
    >>> cohort = cspine.study.synthesize_cohort("cohort", patients=24)  # doctest: +SKIP
    >>> cspine.study.convert("raw/Dataset501_Cervical", "cervical", cohort.folders)  # doctest: +SKIP
    """
    scans = plan_cohort(patients, seed)
    place = SyntheticCohort(Path(out), Path(meshes) if meshes is not None else None)
    made, kept = make_cohort(place, scans, jobs or usable_cores(), progress)
    return WrittenCohort(place, scans, made, kept)
