"""The cases of an evaluation: which files belong together, and from the files of a case to its result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cspine import images
from cspine.errors import InputError
from cspine.inference.settings import InferenceSettings
from cspine.models.package import ModelPackage
from cspine.report.sheet import SheetRow
from cspine.segmentation import find_vertebrae
from cspine.study.audits.attempt import Failure, attempt
from cspine.study.evaluation.evaluation import CaseResult, compare, headline, words
from cspine.study.output_folder import OutputFolder


@dataclass(frozen=True)
class EvaluationCase:
    """A reference with what is compared with it: an image that a model segments, or labels that are there.

    Parameters
    ----------
    name : str
        Name of the case.
    reference : Path
        Reference labels.
    image : Path or None
        CT image.
    found : Path or None
        Where the labels to judge are, or where those of the image are written; None to keep none.
    """

    name: str
    reference: Path
    image: Path | None
    found: Path | None


def output_folder(root: Path) -> OutputFolder:
    """Return the folder that an evaluation writes.

    Parameters
    ----------
    root : Path
        The folder.
    """
    return OutputFolder(root, "cspine evaluate", ("labels",), ("cases.csv", "scores.csv"))


def find_cases(reference: Path, prediction: Path | None, ct: Path | None, out: Path | None) -> list[EvaluationCase]:
    """Return the cases of a folder of references by name; hidden files are none.

    Parameters
    ----------
    reference : Path
        Folder of reference labels, ``NAME.nii.gz``.
    prediction : Path or None
        Folder of labels with the same names.
    ct : Path or None
        Folder of CT images, ``NAME_0000.nii.gz``.
    out : Path or None
        The evaluation's own folder.

    Raises
    ------
    InputError
        If there is no reference, or files that belong to one are absent.
    """
    cases = []
    for path in images.files_in(reference):
        name = images.case_name(path)
        image = ct / f"{name}_0000.nii.gz" if ct is not None else None
        labels = prediction if ct is None else out / "labels" if out is not None else None
        cases.append(EvaluationCase(name, path, image, labels / path.name if labels is not None else None))
    if not cases:
        raise InputError(f"no *.nii.gz in {reference}", advice="Give a folder of label images.")
    needed = [case.image or case.found for case in cases]
    absent = [path for path in needed if path is not None and not path.is_file()]
    if absent:
        raise InputError(
            f"{len(absent)} of {len(cases)} references have no {'image' if ct else 'prediction'}",
            advice=f"Each needs its file: the first one absent is {absent[0].name}.",
        )
    return cases


def evaluate_case(case: EvaluationCase, package: ModelPackage | None, settings: InferenceSettings) -> CaseResult:
    """Segment an image, or read the labels that are there, and compare them with the reference.

    Parameters
    ----------
    case : EvaluationCase
        The case.
    package : ModelPackage or None
        The model for its image.
    settings : InferenceSettings
        Settings.

    Returns
    -------
    CaseResult
        With ``error`` set where the case's files cannot be used, or the network failed.

    Raises
    ------
    CSpineError
        What would stop every case: model, device, output.
    """
    done = attempt(case.name, lambda: _evaluated(case, package, settings))
    return CaseResult(case.name, (), (), None, error=done.text) if isinstance(done, Failure) else done


def _evaluated(case: EvaluationCase, package: ModelPackage | None, settings: InferenceSettings) -> CaseResult:
    reference = images.read_labels(case.reference)
    if case.image is None or package is None:
        assert case.found is not None
        return compare(case.name, reference, images.read_labels(case.found), None)
    vertebrae = find_vertebrae(images.read_ct(case.image), package, settings)[1]
    found = vertebrae.labels
    if case.found is not None:
        images.write(case.found, found.labels_zyx, found.affine_lps)
    return compare(case.name, reference, found, vertebrae.findings)


def sheet_rows(cases: Sequence[EvaluationCase], results: Sequence[CaseResult]) -> Iterator[SheetRow]:
    """Yield the rows of the picture sheet, worst cases first, each read when it is asked for.

    Parameters
    ----------
    cases : sequence of EvaluationCase
        The cases, whose labels are kept.
    results : sequence of CaseResult
        Their results, in the same order.
    """
    for case, result in sorted(zip(cases, results, strict=True), key=lambda pair: pair[1].rank):
        if result.error or case.found is None:
            yield SheetRow(case.name, result.ok, headline(result), words(result), ct=None, labels=None)
            continue
        ct = images.read_ct(case.image) if case.image is not None else None
        found, wanted = images.read_labels(case.found), images.read_labels(case.reference)
        yield SheetRow(case.name, result.ok, headline(result), words(result), ct, found, wanted)
