"""The files of generated cases: OUT/images, OUT/labels and, if asked for, OUT/dicom."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from cspine.core.errors import UsageError
from cspine.core.progress import ProgressCallback
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.dicom.write_ct import CtSeriesDescription, write_ct_series
from cspine.io import nifti
from cspine.io.files import write_folder_atomic
from cspine.study.cases import image_name, labels_name

Place = str | PathLike[str]
#: From a seed to a CT with its labels.
Generator = Callable[[int], tuple[CtVolume, LabelVolume]]


@dataclass(frozen=True)
class WrittenCase:
    """The files of a generated case.

    Parameters
    ----------
    name : str
        Stem of its files.
    image, labels : Path
        NIfTI, int16 Hounsfield units and uint8 labels (VerSe's numbers, 26 for the sacrum) on one grid.
    series : Path or None
        Folder of the DICOM CT series; None if there is none.
    kept : bool
        True where an earlier call wrote it.
    subject : str
        The image that it was copied from; its own name if it was synthesized.
    """

    name: str
    image: Path
    labels: Path
    series: Path | None = None
    kept: bool = False
    subject: str = ""

    def is_there(self) -> bool:
        """Return whether all its files exist."""
        return all(path.exists() for path in (self.image, self.labels, self.series) if path is not None)


def case_in(out: Path, name: str, *, dicom: bool = False, kept: bool = False, subject: str = "") -> WrittenCase:
    """Return a case with its files in a folder, written or not.

    Parameters
    ----------
    out : Path
        Folder of the cases.
    name : str
        Name of the case.
    dicom : bool
        True if the case has a DICOM series too.
    kept : bool
        True if its files were there already.
    subject : str
        Whose image it is; the case itself if empty.
    """
    image, labels = out / "images" / image_name(name), out / "labels" / labels_name(name)
    return WrittenCase(name, image, labels, out / "dicom" / name if dicom else None, kept, subject or name)


def write_case(case: WrittenCase, ct: CtVolume, labels: LabelVolume, uid_seed: str = "") -> None:
    """Write the files of a case; each appears when it is complete.

    Parameters
    ----------
    case : WrittenCase
        Where.
    ct : CtVolume
        The image.
    labels : LabelVolume
        On the same grid.
    uid_seed : str
        Of the UIDs of the DICOM series, if the case has one.
    """
    nifti.write(case.image, ct.hu_zyx, ct.affine_lps)
    nifti.write(case.labels, labels.labels_zyx, labels.affine_lps)
    if case.series is not None:
        description = CtSeriesDescription(uid_seed=uid_seed)
        write_folder_atomic(case.series, lambda partial: write_ct_series(ct, partial, description))


def write_seeds(
    cases: Sequence[tuple[int, WrittenCase]], generate: Generator, uid_seed: Callable[[int], str],
    progress: ProgressCallback,
) -> list[WrittenCase]:  # fmt: skip
    """Generate and write a case per seed.

    Parameters
    ----------
    cases : sequence of (int, WrittenCase)
        Each seed with its files.
    generate : callable
        Returns the CT and the labels of a seed.
    uid_seed : callable
        Returns what the UIDs of a seed's series follow from.
    progress : callable
        Gets the cases done and all of them.
    """
    for done, (seed, case) in enumerate(cases, 1):
        write_case(case, *generate(seed), uid_seed(seed))
        progress(done, len(cases))
    return [case for _, case in cases]


def seeded_cases(out: Path, kind: str, seed: int, count: int, *, dicom: bool) -> list[tuple[int, WrittenCase]]:
    """Return the seeds of a call with the files of their cases, ``KIND_00007``.

    Parameters
    ----------
    out : Path
        Folder of the cases.
    kind : str
        Beginning of their names.
    seed : int
        Seed of the first case.
    count : int
        Number of cases.
    dicom : bool
        True if the cases have DICOM series too.
    """
    return [(number, case_in(out, f"{kind}_{number:05d}", dicom=dicom)) for number in range(seed, seed + count)]


def check_count(count: int, seed: int = 0) -> None:
    """Refuse a number of cases below 1, or a negative seed.

    Parameters
    ----------
    count : int
        Number of cases.
    seed : int
        Seed of the first case.

    Raises
    ------
    UsageError
        With the fault.
    """
    if count < 1 or seed < 0:
        raise UsageError(f"{count} cases from seed {seed}", advice="Ask for one case or more, from seed 0 or above.")


def millimetres(lengths: Sequence[float], of_what: str) -> tuple[float, float, float]:
    """Return three lengths along x, y and z as floats, so that equal settings read alike.

    Parameters
    ----------
    lengths : sequence of float
        Lengths along x, y and z.
    of_what : str
        What messages call them.

    Raises
    ------
    UsageError
        If they are not three numbers above 0.
    """
    if len(lengths) != 3 or not all(length > 0 for length in lengths):
        raise UsageError(f"the {of_what} {tuple(lengths)} is not three lengths", advice="Give x, y, z in millimetres.")
    x, y, z = (float(length) for length in lengths)
    return x, y, z
