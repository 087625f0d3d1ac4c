"""A fixed evaluation set, written with the table that describes its cases; a later call adds what is missing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from cspine.core.errors import UsageError
from cspine.core.progress import ProgressCallback
from cspine.study.synthesis import evaluation_sets
from cspine.study.synthesis.evaluation_sets import MAX_CASES
from cspine.study.synthesis.set_names import ARTICULATED, SETS
from cspine.study.synthesis.set_table import read_table, write_table
from cspine.study.synthesis.write_cases import Place, WrittenCase, case_in, check_count, write_case
from cspine.study.synthesis.write_necks import load_sources

#: The table of a set, beside its images.
TABLE = "cases.csv"


@dataclass(frozen=True)
class EvaluationSet:
    """The first cases of an evaluation set; the number of a case alone determines its content.

    Parameters
    ----------
    name : str
        ``"ordinary"``, ``"hard"``, ``"angio"`` or ``"worn"``: docs/guide/evaluation-sets.md.
    atlas : path
        Folder of the anatomical label atlas.
    anatomies : path, optional
        Folder with one folder of vertebrae per person; ``"angio"`` and ``"worn"`` require it, the others do not use it.
    cache : path, optional
        Cache folder, for faster later calls.
    count : int
        Number of cases.
    dicom : bool
        Also write a DICOM CT series of each case.

    Raises
    ------
    UsageError
        If there is no such set, it has fewer cases, or it requires the vertebrae of several people.
    """

    name: str
    atlas: Place
    anatomies: Place | None = None
    cache: Place | None = None
    count: int = 50
    dicom: bool = False

    def __post_init__(self) -> None:
        check_count(self.count)
        if self.name not in SETS:
            raise UsageError(f"no evaluation set {self.name!r}", advice=f"The sets are {', '.join(SETS)}.")
        if self.count > MAX_CASES:
            raise UsageError(f"a set has {MAX_CASES} cases", advice="Ask for fewer.")
        if self.name in ARTICULATED and self.anatomies is None:
            raise UsageError(f"the set {self.name} requires the vertebrae of several people", advice="Give anatomies.")

    def write(self, out: Path, progress: ProgressCallback) -> list[WrittenCase]:
        """Write OUT/cases.csv and the cases that are not finished.

        Parameters
        ----------
        out : Path
            Folder of the set.
        progress : callable
            Called with the number of finished cases and of all cases.

        Returns
        -------
        list of WrittenCase
            All cases of the set.

        Raises
        ------
        AtlasError
            If the atlas cannot be used.
        """
        people, atlas = load_sources(self.atlas, self.anatomies, self.cache)
        rows = read_table(out / TABLE)
        written = []
        for number in range(self.count):
            case = evaluation_sets.set_case(self.name, number)
            files = case_in(out, case.name, dicom=self.dicom)
            kept = case.name in rows and files.is_there()
            if not kept:
                ct, labels = evaluation_sets.synthesize_set_case(atlas, case, people)
                write_case(files, ct, labels, f"cspine synthesize {case.name}")
                rows[case.name] = evaluation_sets.describe(case, labels)
                write_table(out / TABLE, rows)
            written.append(replace(files, kept=kept))
            progress(number + 1, self.count)
        return written
