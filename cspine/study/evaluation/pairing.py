"""The pairs of files of an evaluation: references, predictions of any system, images, and subsets of a study."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cspine.core.errors import DatasetError, InputError, UsageError
from cspine.io.nifti_files import ENDING, files_in, nifti_stem
from cspine.io.tables import counted
from cspine.pipeline.label_files import labels_of_run, mask_folder, seg_file
from cspine.pipeline.label_schemes import MASKS, SEG, VERSE
from cspine.pipeline.scheme_files import scheme_of_folder
from cspine.study.cases import CHANNEL, Case, image_name, image_of, labels_name
from cspine.study.datasets.case_table import (
    CASE_TABLE,
    CaseRow,
    Subset,
    read_cases,
    refuse_split_patients,
    split_checksum,
)
from cspine.study.datasets.dataset_folder import DatasetFolder, kind_of

#: What follows the name of a case in names of predictions: nothing, nnU-Net's channel, or VerSe's winners' ``_seg``.
_SUFFIXES = ("", CHANNEL, "_seg", f"{CHANNEL}_seg")
#: How many of the entries that are not read are named.
_NAMED = 5
#: Subsets of a study that are looked at where none is named: neither excluded nor unassigned.
_USED = (Subset.TRAINING, Subset.INTERNAL, Subset.EXTERNAL, Subset.UNUSED)


@dataclass(frozen=True, kw_only=True)
class EvaluationCase(Case):
    """A reference with what is compared with it: an image that a model segments, or existing labels.

    Parameters
    ----------
    reference : Path
        Reference labels: a file, or a folder of masks.
    prediction : Path or None
        Where the labels to judge are, or where those of the image are written; None to keep none, or where they are
        absent.
    reference_scheme, prediction_scheme : str
        How their numbers are to be read (`cspine.pipeline.label_schemes`).
    lacking : str
        What the case lacks to be done; empty where it lacks nothing.
    """

    reference: Path
    prediction: Path | None = None
    reference_scheme: str = VERSE
    prediction_scheme: str = VERSE
    lacking: str = ""


@dataclass(frozen=True)
class Inputs:
    """The inputs of an evaluation.

    Parameters
    ----------
    reference : Path or None
        Folder of references: ``NAME.nii.gz``, a folder of masks per case, or DICOM Segmentations.
    dataset : Path or None
        nnU-Net dataset of cspine that has the references, images and subsets instead.
    prediction : Path or None
        Folder of labels to judge; None where a model makes them.
    images : Path or None
        Folder of CT images: for the model, or for pictures alone.
    cases : Path or None
        Table of the cases of a dataset, for subset and fold.
    subsets : sequence of str
        Subsets of the study to look at; empty for all that are used.
    reference_scheme, prediction_scheme : str or None
        Label schemes; None to find them out.
    pattern : str or None
        How predictions are named within their folder, with ``{case}``.
    """

    reference: Path | None = None
    dataset: Path | None = None
    prediction: Path | None = None
    images: Path | None = None
    cases: Path | None = None
    subsets: Sequence[str] = ()
    reference_scheme: str | None = None
    prediction_scheme: str | None = None
    pattern: str | None = None

    @property
    def read(self) -> list[Path | None]:
        """Return the folders that are read."""
        within = [place for kind in ("Tr", "Ts") for place in self._dataset_places(kind)]
        return [self.reference, self.prediction, self.images, *within]

    def split(self) -> str | None:
        """Return the checksum of the split that gives the cases their subsets; None without a table of cases."""
        if self.cases is not None:
            return split_checksum(read_cases(self.cases))
        return None if self.dataset is None else split_checksum(DatasetFolder(self.dataset).rows())

    def _dataset_places(self, kind: str) -> list[Path]:
        if self.dataset is None:
            return []
        folder = DatasetFolder(self.dataset)
        return [folder.images(kind), folder.labels(kind)]


def find_cases(inputs: Inputs, out: Path | None, *, allow_missing: bool = False) -> list[EvaluationCase]:
    """Return the cases by name; hidden files are ignored.

    Parameters
    ----------
    inputs : Inputs
        Where the files are.
    out : Path or None
        The evaluation's own folder, where labels of a model go.
    allow_missing : bool
        True to return a case without a prediction as one that lacks it.

    Raises
    ------
    InputError
        If there is no reference, or files that belong to one are absent, or a case has several predictions.
    DatasetError
        If the table of cases cannot be used, does not name every reference, or names a case of the subsets that has
        none.
    UsageError
        If a subset or a scheme is unknown, or a prediction is the reference itself.
    """
    cases = list(_of_folder(inputs) if inputs.dataset is None else _of_dataset(inputs))
    if not cases:
        raise InputError(
            f"no reference in {inputs.reference or inputs.dataset}", advice="Give a folder of label images, *.nii.gz."
        )
    if inputs.prediction is None:
        complete = [_to_be_segmented(case, out) for case in cases]
    else:
        scheme = scheme_of_folder(inputs.prediction, inputs.prediction_scheme)
        complete = [_with_prediction(case, inputs.prediction, inputs.pattern, scheme) for case in cases]
        _refuse_references(complete)
    absent = [case for case in complete if case.lacking]
    if absent and not (allow_missing and inputs.prediction is not None):
        what = "image" if inputs.prediction is None else "prediction"
        raise InputError(
            f"{len(absent)} of {len(cases)} references have no {what}",
            advice=f"Each needs its file: the first one absent is {absent[0].lacking}."
            + ("" if inputs.prediction is None else " `allow_missing` lists them as failed."),
        )
    return complete


def _refuse_references(cases: Sequence[EvaluationCase]) -> None:
    """Refuse predictions that are the files of the references: their scores are perfect and say nothing."""
    same = [case.name for case in cases if case.prediction is not None and _is_same(case.prediction, case.reference)]
    if same:
        raise UsageError(
            f"{len(same)} of {len(cases)} predictions are the references themselves, the first one {same[0]}",
            advice="Give the folder of the predictions and that of the references.",
        )


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


# --- references -------------------------------------------------------------------------------------------------------


def unread_references(inputs: Inputs) -> list[str]:
    """Return a sentence about what lies in the folder of references like one and is not read; none for a dataset.

    Parameters
    ----------
    inputs : Inputs
        Where the files are.
    """
    folder = inputs.reference
    if folder is None:
        return []
    read = _references(folder, inputs.reference_scheme)
    entries = sorted(path for path in folder.glob("[!.]*") if _is_like_a_reference(path))
    others = [path.name for path in entries if _name_of_entry(path) not in read]
    if not others:
        return []
    named = ", ".join(others[:_NAMED]) + (", ..." if others[_NAMED:] else "")
    return [
        f"{counted(len(others), 'entry', 'entries')} of {folder.resolve().name} not read as references: {named}; the "
        "folder of a case needs one DICOM file, and NIfTI files, segmentations and masks need a folder for each kind"
    ]


def _is_like_a_reference(path: Path) -> bool:
    if path.is_file():
        return path.name.endswith((ENDING, ".dcm"))
    places = (path, path / "dicom")
    has_dicom = any(file.is_file() for place in places for file in place.glob("*.dcm"))
    return has_dicom or mask_folder(path) is not None or labels_of_run(path) is not None


def _name_of_entry(path: Path) -> str:
    """Return the name of the case that an entry of a folder of references belongs to."""
    return nifti_stem(path).removesuffix(".dcm") if path.is_file() else path.name


def _of_folder(inputs: Inputs) -> Iterator[EvaluationCase]:
    folder = inputs.reference
    assert folder is not None
    found = _references(folder, inputs.reference_scheme)
    rows = _rows_by_name(inputs, found)
    for name, (path, scheme) in found.items():
        row = rows.get(name)
        if row is None and (inputs.cases is not None or inputs.subsets):
            continue
        image = None if inputs.images is None else image_of(inputs.images, name)
        yield _case(name, path, image, scheme, row)


def _references(folder: Path, named: str | None) -> dict[str, tuple[Path, str]]:
    """Return the references of a folder and their schemes by the names of their cases: those of one kind, or runs."""
    scheme = scheme_of_folder(folder, named)
    places = {} if scheme in (MASKS, SEG) else {nifti_stem(path): path for path in files_in(folder)}
    if not places and (scheme == SEG or named is None):
        segs = _segmentations(folder)
        scheme, places = (SEG, segs) if segs else (scheme, places)
    if not places and (scheme == MASKS or named is None):
        scheme = MASKS
        subfolders = sorted(path for path in folder.glob("[!.]*") if path.is_dir())
        places = {path.name: masks for path in subfolders if (masks := mask_folder(path)) is not None}
    found = {name: (path, scheme) for name, path in places.items()}
    if named is None and (not places or scheme == SEG):
        # Some runs of a folder may have a segmentation, and others NIfTI labels alone.
        for path in sorted(folder.glob("[!.]*")):
            if path.name not in found and (of_run := labels_of_run(path)) is not None:
                found[path.name] = of_run
    return found


def _segmentations(folder: Path) -> dict[str, Path]:
    """Return the DICOM Segmentations of a folder by the names of their cases."""
    names = {path.stem if path.is_file() else path.name for path in folder.glob("[!.]*")} if folder.is_dir() else set()
    return {name: file for name in sorted(names) if (file := seg_file(folder / name)) is not None}


def _rows_by_name(inputs: Inputs, references: Collection[str]) -> dict[str, CaseRow]:
    if inputs.cases is None:
        if inputs.subsets:
            raise UsageError("`subsets` needs a table of cases", advice="Give `cases` or `dataset`.")
        return {}
    every = {row.case: row for row in read_cases(inputs.cases)}
    refuse_split_patients(every.values(), inputs.cases.name)
    unknown = [name for name in references if name not in every]
    if unknown:
        raise DatasetError(
            f"{len(unknown)} of {len(references)} references are not in {inputs.cases.name}",
            advice=f"The first one is {unknown[0]}; give the table of the dataset that the references are of.",
        )
    wanted = {row.case: row for row in _wanted(every.values(), inputs.subsets)}
    absent = [name for name in wanted if name not in references]
    if inputs.subsets and absent:
        assert inputs.reference is not None
        raise DatasetError(
            f"{len(absent)} of {len(wanted)} cases of the subsets {', '.join(inputs.subsets)} have no reference in "
            f"{inputs.reference.resolve().name}",
            advice=f"The first one absent is {absent[0]}: add its reference, or omit `subsets`.",
        )
    return wanted


def _of_dataset(inputs: Inputs) -> Iterator[EvaluationCase]:
    assert inputs.dataset is not None
    dataset = DatasetFolder(inputs.dataset)
    scheme = scheme_of_folder(dataset.labels("Tr"), inputs.reference_scheme)
    rows = read_cases(inputs.cases) if inputs.cases is not None else dataset.split_rows()
    pairs = [(row, *dataset.pair(kind_of(row), row.case)) for row in _wanted(rows, inputs.subsets)]
    absent = [labels for _, _, labels in pairs if not labels.is_file()]
    if absent:
        raise DatasetError(
            f"{len(absent)} of {len(pairs)} cases of {CASE_TABLE} have no reference",
            advice=f"The first one absent is {absent[0].parent.name}/{absent[0].name}: convert and split again.",
        )
    for row, image, labels in pairs:
        yield _case(row.case, labels, image if image.is_file() else None, scheme, row)


def _wanted(rows: Iterable[CaseRow], subsets: Sequence[str]) -> list[CaseRow]:
    unknown = [subset for subset in subsets if subset not in {p.value for p in _USED}]
    if unknown:
        raise UsageError(
            f"`subsets`: there is no subset {unknown[0]!r}",
            advice=f"Give some of: {', '.join(p.value for p in _USED)}.",
        )
    chosen = tuple(Subset(subset) for subset in subsets) or _USED
    return [row for row in rows if row.subset in chosen and not row.excluded]


def _case(name: str, reference: Path, image: Path | None, scheme: str, row: CaseRow | None) -> EvaluationCase:
    subset = "" if row is None or row.subset is Subset.UNUSED else row.subset.value
    fold = None if row is None else row.fold
    return EvaluationCase(name, image, subset, fold, reference=reference, reference_scheme=scheme)


# --- what is compared with them ---------------------------------------------------------------------------------------


def _to_be_segmented(case: EvaluationCase, out: Path | None) -> EvaluationCase:
    if case.image is None:
        return replace(case, lacking=image_name(case.name))
    return replace(case, prediction=None if out is None else out / "labels" / labels_name(case.name))


def _with_prediction(case: EvaluationCase, folder: Path, pattern: str | None, scheme: str) -> EvaluationCase:
    """Find the prediction of a case: a file, or a folder with one mask per vertebra, with one file, or of a run."""
    if pattern is not None:
        if "{case}" not in pattern:
            raise UsageError(
                f"`prediction_pattern` {pattern!r} names one file for all cases",
                advice="Write {case} where the name of the case stands, for example {case}/labels.nii.gz.",
            )
        named = [folder / pattern.replace("{case}", case.name)]
        if named[0].suffix == ".dcm":
            scheme = SEG
    else:
        named = [folder / f"{case.name}{suffix}{ENDING}" for suffix in _SUFFIXES]
        named += [folder / f"{case.name}{suffix}" for suffix in _SUFFIXES[:2]]
        named += [folder / f"{case.name}{suffix}.dcm" for suffix in _SUFFIXES[:2]]
    there = [place.name for place in named if place.exists()]
    if len(there) > 1:
        raise InputError(
            f"case {case.name} has {len(there)} predictions: {', '.join(there)}",
            advice="Leave one of them in the folder, or name it by `prediction_pattern`.",
        )
    for place in named:
        if place.is_file():
            return replace(case, prediction=place, prediction_scheme=SEG if place.suffix == ".dcm" else scheme)
        if place.is_dir():
            masks = mask_folder(place)
            if masks is not None:
                return replace(case, prediction=masks, prediction_scheme=MASKS)
            files = files_in(place)
            if len(files) == 1:
                return replace(case, prediction=files[0], prediction_scheme=scheme)
            seg = seg_file(place)
            if seg is not None:
                return replace(case, prediction=seg, prediction_scheme=SEG)
            of_run = labels_of_run(place)
            if of_run is not None:
                return replace(case, prediction=of_run[0], prediction_scheme=of_run[1])
    return replace(case, prediction_scheme=scheme, lacking=named[0].name)
