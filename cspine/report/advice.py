"""What to do about a finding, by its code: one sentence for who reads the report."""

from __future__ import annotations

from cspine.core import findings
from cspine.core.findings import FindingKind, Severity

_NUMBERING = "Count the levels on the images from C2 downwards before you use any level of this result."
_COMPLETE = "Check that the study was sent completely; send it again if not, and use the new result."
_BORDERS = "Inspect the outline of this vertebra on the slices before you use its measurements."

_ADVICE: dict[FindingKind, str] = {
    findings.TRUNCATED: "Do not use its volume and extent; the level is valid if the numbering is.",
    findings.MISSING_LEVEL: _NUMBERING,
    findings.OUT_OF_ORDER: _NUMBERING,
    findings.VOLUME_IMPLAUSIBLE: _BORDERS,
    findings.FRAGMENTED: _BORDERS,
    findings.UNDER_AGE: "Do not rely on this result; the models are for adults.",
    findings.TOO_CLOSE: _NUMBERING,
    findings.WIDE_GAP: _NUMBERING,
    findings.VERY_SMALL: "Do not use its measurements.",
    findings.LEVEL_UNCERTAIN: "Identify the levels by other images or by the first rib before you use them.",
    findings.OFF_COLUMN_REMOVED: "Nothing, if the column is complete on the slices.",
    findings.REASSIGNED: "Look at the border between both vertebrae on the slices.",
    findings.NOT_BONE: _BORDERS,
    findings.NO_CERVICAL_VERTEBRA: "Check that this series shows the neck; if it does, do not use this model for it.",
    findings.SUPERSEDES: "Use this result instead of the earlier one.",
    findings.FEWER_SLICES: _COMPLETE,
    findings.INCOMPLETE_TRANSFER: _COMPLETE,
    findings.INSTANCES_MISSING: _COMPLETE,
    findings.LATE_INSTANCE_NUMBERS: "Check that no slices are missing at the ends of the series.",
    findings.THORACIC_VARIANT: "Count the ribs before you name a level below T10.",
    findings.LUMBAR_VARIANT: "Inspect the lumbosacral junction before you name a lumbar level.",
    findings.LUMBAR_COUNT_UNKNOWN: "Name lumbar levels by images that show the sacrum.",
    findings.COUNTED_FROM_SACRUM: "Confirm the levels by images that show C2, if they matter.",
    findings.SACRUM_CONTRADICTS: "Do not use the levels; count them on the images.",
    findings.PARTS_UNITED: "Look at this vertebra and its neighbours on the slices.",
    findings.RENUMBERED: _NUMBERING,
    findings.MERGED_LEVELS: _NUMBERING,
    findings.UNATTRIBUTED_FILES: _COMPLETE,
    findings.UNITS_DOUBTFUL: "Do not use this result; send the original series of the scanner.",
    findings.ORDER_CONTRADICTED: "Do not use this result; check the order of the slices at the scanner or the PACS.",
    findings.TOO_DENSE: "Look for metal and contrast medium on the slices; do not use its density.",
    findings.ONE_SIDED: _BORDERS,
    findings.STAGES_DISAGREE: _NUMBERING,
    findings.END_PIECE: "Look at the end of the image; do not use the outline of the lowest vertebra.",
    findings.METAL: "Inspect the outlines beside the metal; do not use densities there.",
    findings.NOISE: "Inspect thin parts of the vertebrae on the slices before you use their outlines.",
    findings.LOW_CONTRAST: "Inspect all outlines on the slices before you use volumes and surfaces.",
    findings.COARSE_VOXELS: "Do not use facet joints and thin parts; send a thinner reconstruction where there is one.",
    findings.CONTRAST_MEDIUM: "Look at the vessels beside the vertebrae; densities may be too high.",
    findings.ROI_DOUBTFUL: "Nothing, if every label lies on the column.",
    findings.LOW_CONFIDENCE: _NUMBERING,
    findings.MOTION: "Look at the sagittal reformat for steps; do not use lengths and angles across them.",
    findings.UNUSUAL_SHAPE: "Look at this body on sagittal slices; if its outline is wrong, do not use its heights.",
    findings.NO_DISC_SPACE: "Look at the disc between both bodies on sagittal slices.",
    findings.FACES_ELSEWHERE: "Do not use this result; compare left and right with the images and the scanner.",
    findings.CONTRADICTS_LEVEL: _NUMBERING,
    findings.CERVICAL_RIB: "Look for a rib at this vertebra; count the levels from C2 downwards before you use any.",
}

_BY_CODE = {kind.code: text for kind, text in _ADVICE.items()}
#: For the findings of a later version, in a summary that this one reads.
_BY_SEVERITY = {
    Severity.SERIOUS: "Verify the result on the images before you use any of it.",
    Severity.WARNING: "Check this on the images before you use the measurements that it concerns.",
    Severity.INFO: "Nothing, if the slices look right.",
}


def advice(code: str, severity: Severity) -> str:
    """Return what to do about a finding: the advice of its code, or of its severity where the code has none.

    Parameters
    ----------
    code : str
        Code of the finding, for example ``"CS-FND-001"``.
    severity : Severity
        Its severity.
    """
    return _BY_CODE.get(code, _BY_SEVERITY[severity])
