"""Necks with their labels, written as cases: from the label atlas, or of several people's vertebrae."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cspine.core.progress import ProgressCallback
from cspine.study.synthesis.atlas import Atlas, load_atlas
from cspine.study.synthesis.case import CaseSettings, synthesize_case
from cspine.study.synthesis.neck.case import NeckSettings, synthesize_neck
from cspine.study.synthesis.neck.people import People, load_people
from cspine.study.synthesis.write_cases import (
    Place,
    WrittenCase,
    check_count,
    millimetres,
    seeded_cases,
    write_seeds,
)


@dataclass(frozen=True)
class Necks:
    """Synthetic CTs of necks; the same seed and settings give the same case.

    Parameters
    ----------
    atlas : path
        Folder of the anatomical label atlas.
    anatomies : path, optional
        Folder with one folder of vertebrae per person (``C1.obj`` ...): the necks are put together from them.
    cache : path, optional
        Cache folder, for faster later calls.
    count, seed : int
        Number of cases, and the seed of the first. Training uses seeds from 1000000 on.
    spacing_mm : sequence of float, length 3
        Voxel size along x, y, z.
    extent_mm : sequence of float, length 3, optional
        Field of view along x, y, z; random if omitted.
    complete_neck : bool
        True for C1 to T1 in the middle of the field of view, False for one anywhere around the neck.
    dicom : bool
        Also write a DICOM CT series of each case.

    Raises
    ------
    UsageError
        If a number makes no sense.
    """

    atlas: Place
    anatomies: Place | None = None
    cache: Place | None = None
    count: int = 1
    seed: int = 0
    spacing_mm: tuple[float, float, float] = (0.8, 0.8, 1.25)
    extent_mm: tuple[float, float, float] | None = None
    complete_neck: bool = True
    dicom: bool = False

    def __post_init__(self) -> None:
        check_count(self.count, self.seed)
        millimetres(self.spacing_mm, "spacing")
        if self.extent_mm is not None:
            millimetres(self.extent_mm, "extent")

    def write(self, out: Path, progress: ProgressCallback) -> list[WrittenCase]:
        """Generate and write the cases.

        Parameters
        ----------
        out : Path
            Folder of the cases.
        progress : callable
            Called with the number of finished cases and of all cases.

        Returns
        -------
        list of WrittenCase
            All cases, in the order of their seeds.

        Raises
        ------
        AtlasError
            If the atlas or the vertebrae cannot be used.
        """
        people, atlas = load_sources(self.atlas, self.anatomies, self.cache)
        spacing = millimetres(self.spacing_mm, "spacing")
        extent = millimetres(self.extent_mm, "extent") if self.extent_mm is not None else None
        internal = min(1.0, max(0.6, min(spacing)))
        kind = "neck" if people is None else "articulated"
        cases = seeded_cases(out, kind, self.seed, self.count, dicom=self.dicom)
        if people is None:
            case = CaseSettings(spacing, extent, self.complete_neck, internal_mm=internal)
            return write_seeds(
                cases,
                lambda seed: synthesize_case(atlas, seed, case),
                lambda seed: f"cspine synthesize {seed} {case}",
                progress,
            )
        training = people.chosen(evaluation=False)
        neck = NeckSettings(spacing, internal, "neck" if self.complete_neck else "anywhere", extent)
        return write_seeds(
            cases,
            lambda seed: synthesize_neck(atlas, training, seed, neck),
            lambda seed: f"cspine synthesize articulated {seed} {neck}",
            progress,
        )


def load_sources(atlas: Place, anatomies: Place | None, cache: Place | None) -> tuple[People | None, Atlas]:
    """Load the people, where a folder of them is given, and the atlas; AtlasError if one cannot be used."""
    kept = Path(cache) if cache is not None else None
    people = load_people(Path(atlas), Path(anatomies), kept) if anatomies is not None else None
    return people, load_atlas(Path(atlas), kept)
