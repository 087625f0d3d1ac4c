"""Findings: quality statements about a result, each with a stable code.

One table lists every kind; docs/findings.md repeats it and a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How much a finding matters to whoever uses the result."""

    INFO = "info"
    WARNING = "warning"
    SERIOUS = "serious"


@dataclass(frozen=True)
class Finding:
    """One quality statement about a result.

    Parameters
    ----------
    code : str
        Code of the table below.
    level : str or None
        Vertebra that it is about, for example ``"C3"``; None where it is about the whole result.
    severity : Severity
        How much it matters.
    sentence : str
        What was seen, with its numbers; never patient data.
    """

    code: str
    level: str | None
    severity: Severity
    sentence: str


@dataclass(frozen=True)
class FindingKind:
    """A row of the table of findings.

    Parameters
    ----------
    code : str
        Stable over releases.
    severity : Severity
        Severity of every finding of this kind.
    meaning : str
        When it is given.
    """

    code: str
    severity: Severity
    meaning: str

    def about(self, sentence: str, level: str | None = None) -> Finding:
        """Return a finding of this kind.

        Parameters
        ----------
        sentence : str
            What was seen.
        level : str, optional
            Vertebra that it is about.
        """
        return Finding(self.code, level, self.severity, sentence)


TRUNCATED = FindingKind(
    "CS-FND-001", Severity.WARNING, "The vertebra reaches the edge of the scan: it is not whole, its volume neither."
)
MISSING_LEVEL = FindingKind("CS-FND-002", Severity.SERIOUS, "A level between two that were found is missing.")
OUT_OF_ORDER = FindingKind(
    "CS-FND-003", Severity.SERIOUS, "Two levels do not follow each other from head to foot along the spine."
)
VOLUME_IMPLAUSIBLE = FindingKind(
    "CS-FND-004", Severity.WARNING, "The volume is outside the range of adult vertebrae of this level."
)
FRAGMENTED = FindingKind(
    "CS-FND-005", Severity.WARNING, "The vertebra consists of several separate pieces, all of which are kept."
)
UNDER_AGE = FindingKind("CS-FND-006", Severity.SERIOUS, "The patient is under 18: the models have seen adults only.")
TOO_CLOSE = FindingKind(
    "CS-FND-007", Severity.SERIOUS, "Two neighbours lie closer than vertebrae can: one vertebra carries both labels."
)
WIDE_GAP = FindingKind(
    "CS-FND-008", Severity.SERIOUS, "Two neighbours lie so far apart that a vertebra between them may have been missed."
)
VERY_SMALL = FindingKind("CS-FND-009", Severity.WARNING, "Only a very small piece of the vertebra was found.")
LEVEL_UNCERTAIN = FindingKind(
    "CS-FND-010",
    Severity.WARNING,
    "Neither C1 nor C2 was found (nor, by a full-spine model, the sacrum): the numbering has no sure anchor and may be "
    "off by one or more.",
)
OFF_COLUMN_REMOVED = FindingKind(
    "CS-FND-011", Severity.INFO, "Something away from the spinal column was labelled as a vertebra and removed."
)
REASSIGNED = FindingKind(
    "CS-FND-012", Severity.INFO, "A detached piece that borders mainly on a neighbour was given to that neighbour."
)
NOT_BONE = FindingKind(
    "CS-FND-013", Severity.WARNING, "The mean density is not that of bone: the label may lie beside the vertebra."
)
NO_CERVICAL_VERTEBRA = FindingKind(
    "CS-FND-014",
    Severity.SERIOUS,
    "No cervical vertebra was found (by a full-spine model: no vertebra): the run ends with error CS-RES-001 and "
    "writes no DICOM.",
)
SUPERSEDES = FindingKind(
    "CS-FND-015",
    Severity.INFO,
    "An earlier result of the same model has seen only part of these slices: this result takes its place.",
)
FEWER_SLICES = FindingKind(
    "CS-FND-016",
    Severity.SERIOUS,
    "An earlier result of cspine has seen slices of this series that were not there now: this result is less whole.",
)
INCOMPLETE_TRANSFER = FindingKind("CS-FND-017", Severity.SERIOUS, "The sender broke off: the study is not whole.")
INSTANCES_MISSING = FindingKind(
    "CS-FND-018",
    Severity.WARNING,
    "The series should have more instances than were used: its headers say so, or files were damaged.",
)
LATE_INSTANCE_NUMBERS = FindingKind(
    "CS-FND-019",
    Severity.INFO,
    "The instance numbers of the series begin late: slices may have come before, or the scanner counts otherwise.",
)
THORACIC_VARIANT = FindingKind(
    "CS-FND-020",
    Severity.WARNING,
    "11 or 13 thoracic vertebrae: a variant of the patient, or a level drawn wrongly. Count the ribs before a level "
    "below T10 is named.",
)
LUMBAR_VARIANT = FindingKind(
    "CS-FND-021",
    Severity.WARNING,
    "4 or 6 lumbar vertebrae above the sacrum: a variant of the patient, or a level drawn wrongly. Look at the "
    "lumbosacral junction before a lumbar level is named.",
)
LUMBAR_COUNT_UNKNOWN = FindingKind(
    "CS-FND-022",
    Severity.INFO,
    "Lumbar vertebrae were found, but no sacrum below them: how many the patient has cannot be told.",
)
COUNTED_FROM_SACRUM = FindingKind(
    "CS-FND-023",
    Severity.INFO,
    "Neither C1 nor C2 is in view: the levels rest on the sacrum. With 4 or 6 lumbar, or 11 or 13 thoracic vertebrae "
    "they would be off by one.",
)
SACRUM_CONTRADICTS = FindingKind(
    "CS-FND-024",
    Severity.SERIOUS,
    "A vertebra that no patient has there stands on the sacrum: the numbering is wrong.",
)
PARTS_UNITED = FindingKind(
    "CS-FND-025",
    Severity.INFO,
    "A part of a vertebra carried a neighbour's level, and was given the level of the rest.",
)
RENUMBERED = FindingKind(
    "CS-FND-026",
    Severity.SERIOUS,
    "Whole vertebrae were given other levels than the network's, so that all follow each other: check the numbering.",
)
MERGED_LEVELS = FindingKind(
    "CS-FND-027",
    Severity.SERIOUS,
    "A level is much larger and longer than those beside it: it may be two vertebrae, and what lies beyond it one off.",
)

#: Every kind of finding, by code.
FINDING_KINDS: tuple[FindingKind, ...] = (
    TRUNCATED,
    MISSING_LEVEL,
    OUT_OF_ORDER,
    VOLUME_IMPLAUSIBLE,
    FRAGMENTED,
    UNDER_AGE,
    TOO_CLOSE,
    WIDE_GAP,
    VERY_SMALL,
    LEVEL_UNCERTAIN,
    OFF_COLUMN_REMOVED,
    REASSIGNED,
    NOT_BONE,
    NO_CERVICAL_VERTEBRA,
    SUPERSEDES,
    FEWER_SLICES,
    INCOMPLETE_TRANSFER,
    INSTANCES_MISSING,
    LATE_INSTANCE_NUMBERS,
    THORACIC_VARIANT,
    LUMBAR_VARIANT,
    LUMBAR_COUNT_UNKNOWN,
    COUNTED_FROM_SACRUM,
    SACRUM_CONTRADICTS,
    PARTS_UNITED,
    RENUMBERED,
    MERGED_LEVELS,
)

#: Findings that cast doubt on the numbers of other levels than the one that they name.
NUMBERING_CODES: frozenset[str] = frozenset(
    kind.code
    for kind in (
        MISSING_LEVEL,
        OUT_OF_ORDER,
        TOO_CLOSE,
        WIDE_GAP,
        LEVEL_UNCERTAIN,
        THORACIC_VARIANT,
        LUMBAR_VARIANT,
        LUMBAR_COUNT_UNKNOWN,
        COUNTED_FROM_SACRUM,
        SACRUM_CONTRADICTS,
        PARTS_UNITED,
        RENUMBERED,
        MERGED_LEVELS,
    )
)


def findings_table() -> str:
    """Return the table of docs/findings.md: one Markdown row a kind."""
    rows = [f"| {kind.code} | {kind.severity} | {kind.meaning} |" for kind in FINDING_KINDS]
    return "\n".join(["| code | severity | meaning |", "|---|---|---|", *rows])
