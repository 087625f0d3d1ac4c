"""From the files of a case to its result: existing labels, or an image that a model segments first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cspine.core.errors import InputError
from cspine.io import nifti
from cspine.io.processes import DIED, in_processes
from cspine.pipeline.label_schemes import MASKS, SCHEMES, SEG
from cspine.pipeline.scheme_files import levels_of_masks, read_labels
from cspine.study.attempt import Failure, attempt
from cspine.study.evaluation.evaluation import CaseResult, compare
from cspine.study.evaluation.pairing import EvaluationCase
from cspine.study.evaluation.read_pair import read_pair
from cspine.study.grids import on_grid
from cspine.study.orientation import orientation_doubt
from cspine.study.prediction.records import findings_of_labels

if TYPE_CHECKING:
    from cspine.inference.settings import InferenceSettings
    from cspine.models.package import ModelPackage

#: Levels that TotalSegmentator, which writes masks, can predict.
_MASKED = frozenset(SCHEMES["totalsegmentator-v2"].levels.values())


def evaluate_pairs(
    cases: Sequence[EvaluationCase], jobs: int, progress: Callable[[int, int], None]
) -> list[CaseResult]:
    """Compare existing labels with their references, in processes.

    Parameters
    ----------
    cases : sequence of EvaluationCase
        The cases.
    jobs : int
        Processes.
    progress : callable
        Gets the cases done and all of them.

    Returns
    -------
    list of CaseResult
        In the order of the cases, over all levels; ``error`` says why a case could not be done.
    """
    done = in_processes(evaluate_pair, cases, jobs, progress)
    return [
        _failed(case, "[CS-INT-001] the process that compared it died, most often because it ran out of memory")
        if result is DIED
        else result
        for case, result in zip(cases, done, strict=True)
    ]


def evaluate_pair(case: EvaluationCase) -> CaseResult:
    """Compare the labels of a case with its reference; ``error`` is set where its files cannot be used.

    Parameters
    ----------
    case : EvaluationCase
        The files of a case, with their label schemes.
    """
    return _attempted(case, lambda: _compared(case))


def _compared(case: EvaluationCase) -> CaseResult:
    if case.lacking or case.prediction is None:
        raise InputError(f"there is no prediction {case.lacking}".rstrip())
    reference, found = read_pair(case, case.prediction)
    result = compare(case.name, reference, found, findings_of_labels(case.prediction))
    ct = nifti.read_ct(case.image) if case.image is not None else None
    return replace(result, orientation=orientation_doubt(reference, ct))


def evaluate_case(case: EvaluationCase, package: ModelPackage, settings: InferenceSettings) -> CaseResult:
    """Segment the image of a case and compare the result with the reference.

    Parameters
    ----------
    case : EvaluationCase
        The case.
    package : ModelPackage
        The model for its image.
    settings : InferenceSettings
        Settings.

    Returns
    -------
    CaseResult
        Over all levels, with ``error`` set where the case's files cannot be used, or the network failed.

    Raises
    ------
    CSpineError
        What would stop every case: model, device, output.
    """
    return _attempted(case, lambda: _segmented(case, package, settings))


def _segmented(case: EvaluationCase, package: ModelPackage, settings: InferenceSettings) -> CaseResult:
    from cspine.pipeline.segmentation import find_vertebrae  # brings torch, which comparing labels does not need

    assert case.image is not None
    reference = read_labels(case.reference, case.reference_scheme)
    ct = nifti.read_ct(case.image)
    vertebrae = find_vertebrae(ct, package, settings)[1]
    found = vertebrae.labels
    if case.prediction is not None:
        nifti.write(case.prediction, found.labels_zyx, found.affine_lps)
    if case.reference_scheme == SEG:
        reference = on_grid(reference, found.grid, partial=True)
    result = compare(case.name, reference, on_grid(found, reference.grid), vertebrae.findings)
    return replace(result, orientation=orientation_doubt(reference, ct))


def without_masks(case: EvaluationCase, result: CaseResult) -> CaseResult:
    """Return the result, or a failure where the case has no file for a level that the reference has.

    A level without a file was not asked for, or its file was lost: that is no answer, and not a missed level. T13 and
    L6 have none where masks are made by TotalSegmentator, which never predicts them.

    Parameters
    ----------
    case : EvaluationCase
        The case.
    result : CaseResult
        Over the levels that are compared.
    """
    if case.prediction is None or case.prediction_scheme != MASKS or result.error:
        return result
    files = levels_of_masks(case.prediction)
    absent = [s.level for s in result.scores if s.missed and s.level in _MASKED and s.level not in files]
    if not absent:
        return result
    why = f"{case.prediction.name} has no mask of {', '.join(absent)}, which the reference has: see `levels`"
    return _failed(case, str(InputError(why)))


def _attempted(case: EvaluationCase, work: Callable[[], CaseResult]) -> CaseResult:
    done = attempt(case.name, work)
    if isinstance(done, Failure):
        return _failed(case, done.text)
    return replace(done, subset=case.subset, fold=case.fold)


def _failed(case: EvaluationCase, why: str) -> CaseResult:
    return CaseResult(case.name, (), (), None, error=why, subset=case.subset, fold=case.fold)
