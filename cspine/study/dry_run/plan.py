"""The patients of a dry run of the study: synthetic patients, spread over the public data sets as real ones are.

Nothing is synthesised here: the plan gives the data set, the content and the faults of each scan.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from cspine.core.errors import UsageError


class Source(StrEnum):
    """Public data set whose layout a scan is written in."""

    VERSE_2019 = "verse2019"
    VERSE_2020 = "verse2020"
    HNSCC = "hnscc"
    CTSPINE1K = "ctspine1k"
    MSD_COLON = "msd-colon"
    TOTALSEGMENTATOR = "totalsegmentator"


#: Shares of the patients by source, near those of the true study: a third is the external test.
_SHARES = {
    Source.VERSE_2019: 0.24,
    Source.VERSE_2020: 0.20,
    Source.HNSCC: 0.10,
    Source.CTSPINE1K: 0.10,
    Source.MSD_COLON: 0.04,
    Source.TOTALSEGMENTATOR: 0.32,
}
#: What a scan of each source shows: the neck, or the trunk.
_NECK_SHARE = {Source.HNSCC: 1.0, Source.MSD_COLON: 0.0, Source.TOTALSEGMENTATOR: 1.0}
_OTHERS_NECK_SHARE = 0.8
_SEEDS = 9_000_000


@dataclass(frozen=True)
class PlannedScan:
    """One scan of the synthetic cohort.

    Parameters
    ----------
    source : Source
        Data set whose layout it is written in.
    number : int
        Number within its source, from 1.
    seed : int
        Of the anatomy and the acquisition.
    first, last : str
        Levels at the ends of the field of view.
    age_years : int
        Of the made-up patient.
    sex : str
        ``"M"`` or ``"F"``.
    swapped : bool
        True where two neighbouring labels are exchanged: the audit must find it.
    """

    source: Source
    number: int
    seed: int
    first: str
    last: str
    age_years: int
    sex: str
    swapped: bool = False


def plan_cohort(patients: int, seed: int = 0) -> tuple[PlannedScan, ...]:
    """Return the scans of a cohort, one per patient.

    Parameters
    ----------
    patients : int
        How many, 12 or more.
    seed : int
        Another seed gives other patients.

    Raises
    ------
    UsageError
        If there are too few patients for every source to have one.
    """
    if patients < 2 * len(Source):
        raise UsageError(f"{patients} patients are too few", advice=f"Ask for {2 * len(Source)} or more.")
    counts = {source: max(1, int(share * patients)) for source, share in _SHARES.items()}
    counts[Source.VERSE_2019] += patients - sum(counts.values())
    rng = np.random.default_rng(seed)
    scans: list[PlannedScan] = []
    for source, count in counts.items():
        for number in range(1, count + 1):
            neck = rng.random() < _NECK_SHARE.get(source, _OTHERS_NECK_SHARE)
            first, last = ("C1", "T2") if neck else ("T11", "L5")
            scans.append(
                PlannedScan(
                    source,
                    number,
                    _SEEDS + 1000 * seed + len(scans),
                    first,
                    last,
                    int(np.clip(rng.normal(60, 15), 19, 95)),
                    "M" if rng.random() < 0.62 else "F",
                    swapped=source is Source.CTSPINE1K and number == 1,
                )
            )
    return tuple(scans)
