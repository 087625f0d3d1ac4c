"""The complete workflow of `cspine synthesize`: from what is asked for to cases in a folder."""

from __future__ import annotations

from pathlib import Path

from cspine.core.progress import ProgressCallback
from cspine.study.evaluation.write_blanked import BlankedCopies
from cspine.study.synthesis.write_cases import Place, WrittenCase
from cspine.study.synthesis.write_necks import Necks
from cspine.study.synthesis.write_set import EvaluationSet
from cspine.study.synthesis.write_spines import Spines

#: What can be generated.
Content = Necks | Spines | EvaluationSet | BlankedCopies


def synthesize(
    content: Content, out: Place, *, progress: ProgressCallback = lambda done, total: None
) -> list[WrittenCase]:
    """Generate labelled CT cases: ``out/images``, ``out/labels`` and, if the content says so, ``out/dicom``.

    Parameters
    ----------
    content : Necks, Spines, EvaluationSet or BlankedCopies
        What to generate, and from what.
    out : path
        Folder to write to. Finished cases of an evaluation set and existing copies of CTs are kept; others are
        written again.
    progress : callable
        Gets the cases (for copies, the images) done and all of them.

    Returns
    -------
    list of WrittenCase
        One a case, with its files. An image has int16 Hounsfield units, its labels VerSe's numbers and 26 for the
        sacrum; both have axes to L, P, S and one grid, in millimetres.

    Raises
    ------
    AtlasError
        If the atlas, its meshes or the vertebrae of other people cannot be used.
    InputError, UsageError
        If CTs and labels cannot be used together, or would be overwritten.

    Examples
    --------
    >>> content = cspine.study.Spines("T11-L5", count=2)  # doctest: +SKIP
    >>> [case.name for case in cspine.study.synthesize(content, "spines")]  # doctest: +SKIP
    ['spine_00000', 'spine_00001']
    """
    return content.write(Path(out), progress)
