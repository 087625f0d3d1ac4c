"""Part of a result: the levels that a user wants written, and the findings that concern them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cspine.core.anatomy import Vertebra, levels_text, rank, vertebra
from cspine.core.errors import NoVertebraError, UsageError
from cspine.core.findings import NUMBERING_CODES, Finding
from cspine.core.volumes import LabelVolume, relabelled
from cspine.postprocessing.order import ANCHORS

if TYPE_CHECKING:
    from cspine.pipeline.segmentation import Vertebrae


def check_wanted(wanted: Sequence[Vertebra] | None, predicted: Collection[Vertebra]) -> None:
    """Refuse levels if a model predicts none of them.

    Parameters
    ----------
    wanted : sequence of Vertebra or None
        The levels to write; None for all.
    predicted : collection of Vertebra
        The levels that the model predicts.

    Raises
    ------
    UsageError
        If they have no level in common.
    """
    if wanted is not None and not set(wanted) & set(predicted):
        raise UsageError(
            f"the model does not predict {levels_text(wanted)}; it predicts {levels_text(predicted)}",
            advice="Give levels that the model predicts, or a model that predicts these levels.",
        )


def keep_levels(vertebrae: Vertebrae, wanted: Sequence[Vertebra]) -> Vertebrae:
    """Return the wanted part of a result.

    Findings about other levels are removed, unless they cast doubt on the numbers of the kept levels: if C1 or C2 was
    predicted, levels are counted from above, and only an error above or next to a level can shift its number;
    otherwise all such findings are kept.

    Parameters
    ----------
    vertebrae : Vertebrae
        The complete result.
    wanted : sequence of Vertebra
        The levels to keep.

    Raises
    ------
    NoVertebraError
        If none of them was predicted.
    """
    labels = vertebrae.labels.labels_zyx
    found = vertebrae.labels.levels
    kept = [level for level in found if level in wanted]
    if not kept:
        raise NoVertebraError(
            f"none of the levels {levels_text(wanted)} was predicted; predicted levels: {levels_text(found) or 'none'}",
            advice="Check that the series shows these levels, or run without `levels`.",
        )
    counted_from_above = any(level.name in ANCHORS for level in found)
    lowest = rank(kept[-1].label)
    findings = tuple(f for f in vertebrae.findings if _matters(f, kept, lowest if counted_from_above else None))
    wanted_zyx = relabelled(labels, {level.label: level.label for level in kept})
    labels_of_wanted = LabelVolume(wanted_zyx, vertebrae.labels.affine_lps, vertebrae.labels.model)
    confidence = {level.name: vertebrae.confidence[level.name] for level in kept if level.name in vertebrae.confidence}
    return replace(vertebrae, labels=labels_of_wanted, findings=findings, confidence=confidence)


def _matters(finding: Finding, kept: Sequence[Vertebra], lowest_rank: int | None) -> bool:
    """Return whether a finding concerns a kept level or its number; a rank if levels are counted from above."""
    if finding.level is None or finding.level in {level.name for level in kept}:
        return True
    if finding.code not in NUMBERING_CODES:
        return False
    return lowest_rank is None or rank(vertebra(finding.level).label) <= lowest_rank + 1
