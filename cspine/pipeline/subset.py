"""Part of a result: the levels that a user wants written, and which findings still matter to them."""

from __future__ import annotations

from collections.abc import Sequence

from cspine.core.anatomy import VERTEBRAE, Vertebra, levels_text, rank, vertebra
from cspine.core.errors import NoVertebraError, UsageError
from cspine.core.findings import NUMBERING_CODES, Finding
from cspine.core.volumes import LabelVolume, labels_present, relabelled
from cspine.pipeline.segmentation import Vertebrae
from cspine.postprocessing.order import ANCHORS


def check_wanted(wanted: Sequence[Vertebra] | None, drawn: Sequence[Vertebra]) -> None:
    """Refuse levels of which a model draws none.

    Parameters
    ----------
    wanted : sequence of Vertebra or None
        The levels to write; None for all.
    drawn : sequence of Vertebra
        What the model draws.

    Raises
    ------
    UsageError
        If they have no level in common.
    """
    if wanted is not None and not set(wanted) & set(drawn):
        raise UsageError(
            f"levels {levels_text(wanted)} are wanted, the model draws {levels_text(drawn)}",
            advice="Give levels that the model draws, or a model that draws these.",
        )


def keep_levels(vertebrae: Vertebrae, wanted: Sequence[Vertebra]) -> Vertebrae:
    """Return the part of a result that is wanted.

    Findings about other levels go with them, unless they cast doubt on the numbers of those that stay: where C1 or C2
    was found, levels are counted from above, and only what is wrong above or next to a level can shift its number;
    elsewhere all of them count.

    Parameters
    ----------
    vertebrae : Vertebrae
        The whole result.
    wanted : sequence of Vertebra
        The levels to keep.

    Raises
    ------
    NoVertebraError
        If none of them was found.
    """
    labels = vertebrae.labels.labels_zyx
    present = labels_present(labels)
    found = [level for level in VERTEBRAE if level.label in present]
    kept = [level for level in found if level in wanted]
    if not kept:
        raise NoVertebraError(
            f"none of the levels {levels_text(wanted)} was found; found: {levels_text(found) or 'none'}",
            advice="Check that the series shows these levels, or run without --levels.",
        )
    counted_from_above = any(level.name in ANCHORS for level in found)
    lowest = rank(kept[-1].label)
    findings = tuple(f for f in vertebrae.findings if _matters(f, kept, lowest if counted_from_above else None))
    wanted_zyx = relabelled(labels, {level.label: level.label for level in kept})
    return Vertebrae(LabelVolume(wanted_zyx, vertebrae.labels.affine_lps, vertebrae.labels.model), findings)


def _matters(finding: Finding, kept: Sequence[Vertebra], lowest_rank: int | None) -> bool:
    """Tell whether a finding is about a level that stays, or about its number; a rank where levels count from above."""
    if finding.level is None or finding.level in {level.name for level in kept}:
        return True
    if finding.code not in NUMBERING_CODES:
        return False
    return lowest_rank is None or rank(vertebra(finding.level).label) <= lowest_rank + 1
