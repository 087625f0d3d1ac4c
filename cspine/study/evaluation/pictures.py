"""The picture sheets of an evaluation: prediction beside reference, worst cases first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from cspine.core.errors import CSpineError
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.io import nifti
from cspine.io.tables import number
from cspine.report.sheet_rows import SheetRow, below_neck
from cspine.study.evaluation.evaluation import CaseResult
from cspine.study.evaluation.pairing import EvaluationCase
from cspine.study.evaluation.read_pair import read_pair
from cspine.study.grids import on_grid


def sheet_rows(cases: Sequence[EvaluationCase], results: Sequence[CaseResult], count: int) -> Iterator[SheetRow]:
    """Yield the rows of the picture sheet, worst cases first, each read on demand.

    Parameters
    ----------
    cases : sequence of EvaluationCase
        The cases, whose labels are kept.
    results : sequence of CaseResult
        Their results, in the same order.
    count : int
        How many cases are shown.
    """
    worst_first = sorted(zip(cases, results, strict=True), key=lambda pair: pair[1].rank)
    for case, result in islice(worst_first, count):
        if result.error or case.prediction is None:
            yield SheetRow(case.name, result.ok, headline(result), words(result), ct=None, labels=None)
            continue
        wanted, found = read_pair(case, case.prediction)
        ct, found, wanted = _with_image(case, found, wanted)
        full_column = below_neck(score.level for score in result.scores)
        yield SheetRow(
            case.name, result.ok, headline(result), words(result), ct, found, wanted, full_column=full_column
        )  # fmt: skip


def _with_image(
    case: EvaluationCase, found: LabelVolume, wanted: LabelVolume
) -> tuple[CtVolume | None, LabelVolume, LabelVolume]:
    """Bring the labels onto the image; without one where it cannot be read, or lies on other voxels."""
    if case.image is None:
        return None, found, wanted
    try:
        ct = nifti.read_ct(case.image)
        return ct, on_grid(found, ct.grid), on_grid(wanted, ct.grid)
    except CSpineError:
        return None, found, wanted


def headline(result: CaseResult) -> str:
    """Return the verdict on a case in a few words."""
    if result.error:
        return "failed"
    if result.silent:
        return "wrong level, no finding"
    if result.wrong:
        return "wrong level"
    return "missed a vertebra" if result.missed else "levels right"


def words(result: CaseResult) -> tuple[str, ...]:
    """Return the text of a picture sheet about a case."""
    if result.error:
        return (result.error,)
    lines = [f"- {match.level} labelled {match.predicted}" for match in result.wrong]
    lines += [f"- {match.level} missed" for match in result.missed]
    lines += [f"- {' '.join(result.false)} not in the reference"] if result.false else []
    lines += [f"Dice {number(result.mean_dice)}, HD95 {number(result.mean_hd95_mm, 2) or '-'} mm"]
    weak = sorted(result.scores, key=lambda score: score.dice)[:3]
    lines += ["lowest: " + ", ".join(f"{score.level} {score.dice:.2f}" for score in weak)]
    lines += [] if result.findings is None else [" ".join(result.finding_codes) or "no findings"]
    return tuple(lines)
