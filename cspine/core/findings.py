"""Findings are statements about the quality of a result, each with a stable code.

One table lists every kind; docs/reference/findings.md repeats it, and a test keeps the two equal.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from cspine.core.errors import FindingError, UsageError

#: Logger of the findings of a run: a command that prints them keeps them out of its log.
FINDINGS_LOG = "cspine.findings"


class Severity(StrEnum):
    """The severity of a finding for the user of the result."""

    INFO = "info"
    WARNING = "warning"
    SERIOUS = "serious"


@dataclass(frozen=True)
class Finding:
    """A statement about the quality of a result.

    Parameters
    ----------
    code : str
        Code of the table below.
    level : str or None
        Vertebra that it concerns, for example ``"C3"``; None if it concerns the result as a whole.
    severity : Severity
        Its severity.
    sentence : str
        What was observed, with the numbers; never patient data.
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
        When a finding of this kind is reported.
    """

    code: str
    severity: Severity
    meaning: str

    def about(self, sentence: str, level: str | None = None) -> Finding:
        """Return a finding of this kind.

        Parameters
        ----------
        sentence : str
            What was observed.
        level : str, optional
            Vertebra that it concerns.
        """
        return Finding(self.code, level, self.severity, sentence)


TRUNCATED = FindingKind(
    "CS-FND-001", Severity.WARNING, "Vertebra truncated by the edge of the scan; its volume is incomplete."
)
MISSING_LEVEL = FindingKind("CS-FND-002", Severity.SERIOUS, "A level between two segmented vertebrae is missing.")
OUT_OF_ORDER = FindingKind("CS-FND-003", Severity.SERIOUS, "Two levels are in the wrong order along the spine.")
VOLUME_IMPLAUSIBLE = FindingKind(
    "CS-FND-004", Severity.WARNING, "The volume is outside the range of adult vertebrae of this level."
)
FRAGMENTED = FindingKind(
    "CS-FND-005", Severity.WARNING, "The vertebra consists of several separate fragments, all of which are kept."
)
UNDER_AGE = FindingKind(
    "CS-FND-006",
    Severity.SERIOUS,
    "The patient is under 18 years of age; the models were trained on adults only, and published values are theirs.",
)
TOO_CLOSE = FindingKind(
    "CS-FND-007",
    Severity.SERIOUS,
    "Two adjacent levels are closer together than vertebrae can be; one vertebra probably carries both labels.",
)
WIDE_GAP = FindingKind(
    "CS-FND-008",
    Severity.SERIOUS,
    "Two adjacent levels are so far apart that a vertebra between them may have been missed.",
)
VERY_SMALL = FindingKind("CS-FND-009", Severity.WARNING, "Only a very small part of the vertebra was segmented.")
LEVEL_UNCERTAIN = FindingKind(
    "CS-FND-010",
    Severity.WARNING,
    "Neither C1 nor C2 (nor, with a full-spine model, the sacrum) was segmented; the numbering has no reliable anchor "
    "and may be off by one or more levels.",
)
OFF_COLUMN_REMOVED = FindingKind(
    "CS-FND-011",
    Severity.INFO,
    "A structure away from the spinal column was labelled as a vertebra and has been removed.",
)
REASSIGNED = FindingKind(
    "CS-FND-012",
    Severity.INFO,
    "A detached fragment that borders mainly on an adjacent vertebra was assigned to that vertebra.",
)
NOT_BONE = FindingKind(
    "CS-FND-013", Severity.WARNING, "The mean density is too low for bone; the label may lie beside the vertebra."
)
NO_CERVICAL_VERTEBRA = FindingKind(
    "CS-FND-014",
    Severity.SERIOUS,
    "No cervical vertebra (with a full-spine model: no vertebra) was segmented; the run ends with error CS-RES-001 and "
    "writes no DICOM object.",
)
SUPERSEDES = FindingKind(
    "CS-FND-015",
    Severity.INFO,
    "An earlier result of the same model is based on only part of these slices; this result supersedes it.",
)
FEWER_SLICES = FindingKind(
    "CS-FND-016",
    Severity.SERIOUS,
    "An earlier result of cspine is based on slices of this series that are now missing; this result is less complete.",
)
INCOMPLETE_TRANSFER = FindingKind(
    "CS-FND-017", Severity.SERIOUS, "The transfer was interrupted; the study is incomplete."
)
INSTANCES_MISSING = FindingKind(
    "CS-FND-018",
    Severity.WARNING,
    "The series should contain more instances than were used, according to its headers or because files are damaged.",
)
LATE_INSTANCE_NUMBERS = FindingKind(
    "CS-FND-019",
    Severity.INFO,
    "The instance numbers of the series start late; slices may be missing, or the scanner numbers them differently.",
)
THORACIC_VARIANT = FindingKind(
    "CS-FND-020",
    Severity.WARNING,
    "11 or 13 thoracic vertebrae: an anatomical variant or a numbering error. Count the ribs before naming a level "
    "below T10.",
)
LUMBAR_VARIANT = FindingKind(
    "CS-FND-021",
    Severity.WARNING,
    "4 or 6 lumbar vertebrae above the sacrum: an anatomical variant or a numbering error. Inspect the lumbosacral "
    "junction before naming a lumbar level.",
)
LUMBAR_COUNT_UNKNOWN = FindingKind(
    "CS-FND-022",
    Severity.INFO,
    "Lumbar vertebrae were segmented without a sacrum below them; their number cannot be determined.",
)
COUNTED_FROM_SACRUM = FindingKind(
    "CS-FND-023",
    Severity.INFO,
    "Neither C1 nor C2 is in view; the levels are counted from the sacrum and would be off by one in a patient with 4 "
    "or 6 lumbar, or 11 or 13 thoracic vertebrae.",
)
SACRUM_CONTRADICTS = FindingKind(
    "CS-FND-024",
    Severity.SERIOUS,
    "The vertebra above the sacrum has a level that does not occur there; the numbering is wrong.",
)
PARTS_UNITED = FindingKind(
    "CS-FND-025",
    Severity.INFO,
    "Part of a vertebra carried the level of an adjacent vertebra and was relabelled to match the rest.",
)
RENUMBERED = FindingKind(
    "CS-FND-026",
    Severity.SERIOUS,
    "Entire vertebrae were renumbered to make the levels consecutive; verify the numbering.",
)
MERGED_LEVELS = FindingKind(
    "CS-FND-027",
    Severity.SERIOUS,
    "A level is much larger and longer than its neighbours; it may be two vertebrae, and levels beyond it off by one.",
)
UNATTRIBUTED_FILES = FindingKind(
    "CS-FND-028",
    Severity.SERIOUS,
    "Damaged files of the input belong to no series that can be determined; slices of this series may be among them.",
)
UNITS_DOUBTFUL = FindingKind(
    "CS-FND-029",
    Severity.SERIOUS,
    "The values of the CT are not distributed as Hounsfield units of a patient; the result may be wrong throughout.",
)
ORDER_CONTRADICTED = FindingKind(
    "CS-FND-030",
    Severity.SERIOUS,
    "The positions of the slices contradict their numbers and locations; slices may have been exchanged.",
)
TOO_DENSE = FindingKind(
    "CS-FND-031",
    Severity.WARNING,
    "The mean density is too high for bone; the vertebra contains metal, or the values are not Hounsfield units.",
)

ONE_SIDED = FindingKind(
    "CS-FND-032",
    Severity.WARNING,
    "The right and left halves of the vertebra differ grossly; one half was not segmented or lies outside the scan.",
)
STAGES_DISAGREE = FindingKind(
    "CS-FND-033",
    Severity.SERIOUS,
    "The stages of the model assign different levels to much of a vertebra; verify the numbering.",
)
END_PIECE = FindingKind(
    "CS-FND-034",
    Severity.INFO,
    "A small part of a vertebra at the end of the image carried a level that cannot lie there; it was assigned to the "
    "vertebra that it touches.",
)
METAL = FindingKind(
    "CS-FND-035",
    Severity.WARNING,
    "There is metal in or beside the vertebrae; its streaks may have moved their borders.",
)
NOISE = FindingKind("CS-FND-036", Severity.WARNING, "The image is noisy; the borders of thin bone are uncertain.")
LOW_CONTRAST = FindingKind(
    "CS-FND-037",
    Severity.WARNING,
    "The vertebrae are hardly denser than muscle; their borders are uncertain.",
)
COARSE_VOXELS = FindingKind(
    "CS-FND-038", Severity.INFO, "The voxels are too large to resolve joint spaces and thin parts of the vertebrae."
)
CONTRAST_MEDIUM = FindingKind(
    "CS-FND-039",
    Severity.INFO,
    "The header states that contrast medium was given; values are not searched for it, and without the statement there "
    "is no finding. Bright vessels beside the vertebrae may be included in part.",
)

ROI_DOUBTFUL = FindingKind(
    "CS-FND-040",
    Severity.INFO,
    "The neck was not located with certainty, so the model saw the complete image: labels far from it are possible.",
)

LOW_CONFIDENCE = FindingKind(
    "CS-FND-041",
    Severity.WARNING,
    "The level of a vertebra is doubtful: on cases with reference labels, vertebrae like it often had a neighbour's "
    "level.",
)
MOTION = FindingKind(
    "CS-FND-042",
    Severity.WARNING,
    "The neck is displaced between adjacent slices; the patient probably moved, and measurements there are distorted.",
)
UNUSUAL_SHAPE = FindingKind(
    "CS-FND-043",
    Severity.WARNING,
    "The body of the vertebra is much lower at one position than at another, or than its neighbours.",
)
NO_DISC_SPACE = FindingKind(
    "CS-FND-044",
    Severity.WARNING,
    "The bodies of two neighbours touch from front to back; no disc space separates them.",
)
CERVICAL_RIB = FindingKind(
    "CS-FND-045",
    Severity.WARNING,
    "Bone that is joined to a transverse process of C7 reaches further to the side than any transverse process: a "
    "cervical rib is possible, or the level is T1.",
)
FACES_ELSEWHERE = FindingKind(
    "CS-FND-046",
    Severity.SERIOUS,
    "The arches of the vertebrae do not point to the back of the patient: the orientation in the header is wrong, for "
    "example that of a patient who lay prone, and left and right may be exchanged. Nothing is measured along the axes.",
)
CONTRADICTS_LEVEL = FindingKind(
    "CS-FND-047",
    Severity.SERIOUS,
    "C1 has a vertebral body, or C2 has none: the levels are probably named one too high or one too low.",
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
    UNATTRIBUTED_FILES,
    UNITS_DOUBTFUL,
    ORDER_CONTRADICTED,
    TOO_DENSE,
    ONE_SIDED,
    STAGES_DISAGREE,
    END_PIECE,
    METAL,
    NOISE,
    LOW_CONTRAST,
    COARSE_VOXELS,
    CONTRAST_MEDIUM,
    ROI_DOUBTFUL,
    LOW_CONFIDENCE,
    MOTION,
    UNUSUAL_SHAPE,
    NO_DISC_SPACE,
    CERVICAL_RIB,
    FACES_ELSEWHERE,
    CONTRADICTS_LEVEL,
)

#: Findings that cast doubt on the numbering of levels other than the one that they name.
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
        STAGES_DISAGREE,
        CERVICAL_RIB,
        CONTRADICTS_LEVEL,
    )
)


def parse_fail_on(text: str) -> tuple[str, ...]:
    """Return what a text such as ``"serious"`` or ``"CS-FND-003, CS-FND-010"`` names: severities and codes.

    Parameters
    ----------
    text : str
        Severities (``info``, ``warning``, ``serious``) and codes, separated by commas.

    Returns
    -------
    tuple of str
        The severities and codes in their order.

    Raises
    ------
    UsageError
        If a part is neither, or there is none.
    """
    wanted = tuple(part.strip() for part in text.split(",") if part.strip())
    known = {severity.value for severity in Severity} | {kind.code for kind in FINDING_KINDS}
    unknown = [part for part in wanted if part not in known]
    if unknown or not wanted:
        raise UsageError(
            f"{unknown[0] if unknown else text!r} is neither a severity nor the code of a finding",
            advice="Give info, warning or serious, or codes of docs/reference/findings.md, separated by commas.",
        )
    return wanted


def require_none(findings: Iterable[Finding], fail_on: Collection[str]) -> None:
    """Refuse a result that has one of the findings that the user named.

    Parameters
    ----------
    findings : iterable of Finding
        Findings of a result.
    fail_on : collection of str
        From `parse_fail_on`; a severity includes all that are graver.

    Raises
    ------
    FindingError
        If there is one; the message has codes and levels.
    """
    grades = list(Severity)
    least = min((grades.index(grade) for grade in grades if grade.value in fail_on), default=len(grades))
    refused = [f for f in findings if f.code in fail_on or grades.index(f.severity) >= least]
    if refused:
        listed = ", ".join(f"{f.code} ({f.level})" if f.level else f.code for f in refused)
        raise FindingError(f"the result has findings that `fail_on` names: {listed}")


def findings_table() -> str:
    """Return the table of docs/reference/findings.md, one Markdown row for each kind."""
    rows = [f"| {kind.code} | {kind.severity} | {kind.meaning} |" for kind in FINDING_KINDS]
    return "\n".join(["| code | severity | meaning |", "|---|---|---|", *rows])
