"""The cases of a prediction: images of a folder, series of DICOM studies, or cases of a dataset with folds for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from os.path import commonpath
from pathlib import Path

from cspine.core.errors import DatasetError, InputError, NoDicomError, SplitError, UsageError
from cspine.core.hounsfield import require_hounsfield
from cspine.core.volumes import CtVolume
from cspine.dicom.read import read_volume
from cspine.dicom.rules import Rules
from cspine.dicom.scan import Scan, scan_folder
from cspine.dicom.select import select_series
from cspine.io import nifti
from cspine.io.nifti_files import ENDING, files_in
from cspine.io.workspace import fingerprint
from cspine.models.package import ModelPackage
from cspine.study.cases import Case, images_by_case, name_of, refuse_namesakes
from cspine.study.datasets.case_table import CaseRow, Subset, split_checksum
from cspine.study.datasets.dataset_folder import DatasetFolder

#: Subsets whose cases can be predicted.
_SUBSETS = (Subset.TRAINING, Subset.INTERNAL, Subset.EXTERNAL)
_NAMES = ".nii.gz files called NAME_0000.nii.gz or NAME.nii.gz, or DICOM files"


@dataclass(frozen=True, kw_only=True)
class PredictionCase(Case):
    """One image to predict: a NIfTI file, or a series of a DICOM study.

    Parameters
    ----------
    study : Scan or None
        DICOM study, of which the rules choose a series.
    folds : tuple of str or None
        Folds that may predict it; None for all of the model, or those that were asked for.
    """

    study: Scan | None = None
    folds: tuple[str, ...] | None = None

    def read(self, rules: Rules) -> CtVolume:
        """Read the image: a NIfTI file, or of a DICOM study the series that the rules choose.

        Parameters
        ----------
        rules : Rules
            Selection rules for the series of a DICOM study.

        Raises
        ------
        NotHounsfieldError
            If the values of a NIfTI image are not Hounsfield units.
        CSpineError
            As in `nifti.read_ct`, `select_series` and `read_volume`.
        """
        if self.image is not None:
            ct = nifti.read_ct(self.image)
            require_hounsfield(ct.hu_zyx, self.image.name)
            return ct
        assert self.study is not None
        return read_volume(select_series(self.study, rules).chosen)

    def origin(self) -> tuple[str, str]:
        """Return what kind of input the case is, and the local path of its file or of the folder of its files."""
        if self.image is not None:
            return "NIfTI", str(self.image.resolve())
        folders = {str(path.parent.resolve()) for path in self._dicom_files()}
        return "DICOM", commonpath(folders) if folders else ""

    def fingerprint(self) -> str:
        """Return a key that changes when the files of the case change."""
        return fingerprint([self.image] if self.image is not None else self._dicom_files())

    def _dicom_files(self) -> list[Path]:
        assert self.study is not None
        return sorted(instance.path for series in self.study.series for instance in series.instances)


def cases_of_input(source: Path) -> list[PredictionCase]:
    """Return the cases of a NIfTI file, a folder of NIfTI files, or a folder of DICOM files, by name.

    A folder with NIfTI files directly in it is one of NIfTI. A DICOM study is called as the folder in ``source`` that
    holds it and no other study, or else by its hashed UID.

    Parameters
    ----------
    source : Path
        File or folder.

    Raises
    ------
    InputError
        If there is no image, or two have one name.
    """
    if source.is_file():
        if not source.name.endswith(ENDING):
            raise InputError(f"{source.name} is not a .nii.gz file", advice=f"Give a folder, or {_NAMES}.")
        return [PredictionCase(name_of(source), source)]
    if not source.is_dir():
        raise InputError(f"{source} is neither a file nor a folder", advice=f"Give {_NAMES}.")
    paths = files_in(source)
    if paths:
        return [PredictionCase(name, image) for name, image in images_by_case(paths).items()]
    try:
        scan = scan_folder(source)
    except NoDicomError as error:
        raise InputError(f"no image in {source}", advice=f"Give a folder of {_NAMES}.") from error
    cases = _named_studies(source, scan)
    refuse_namesakes(case.name for case in cases)
    return sorted(cases, key=lambda case: case.name)


def subsets_of(names_text: str) -> tuple[Subset, ...]:
    """Return the subsets that `--subsets` names.

    Raises
    ------
    UsageError
        If it names another one.
    """
    names = [name.strip() for name in names_text.split(",")]
    unknown = [name for name in names if name not in _SUBSETS]
    if unknown:
        raise UsageError(f"there is no subset {unknown[0]!r}", advice=f"Give some of: {', '.join(_SUBSETS)}.")
    return tuple(subset for subset in _SUBSETS if subset in names)


def cases_of_dataset(root: Path, subsets: Sequence[Subset], package: ModelPackage) -> list[PredictionCase]:
    """Return the cases of a dataset's subsets, each with the folds that were not trained on it.

    A training case is predicted by the fold that it validates. Cases of the other subsets are predicted by all folds.

    Parameters
    ----------
    root : Path
        The dataset.
    subsets : sequence of Subset
        Training, internal, external.
    package : ModelPackage
        The model.

    Raises
    ------
    DatasetError
        If it is no dataset, or the files of a case are absent.
    SplitError
        If the dataset's split does not hold, or training cases are asked for and model and dataset do not know of each
        other's folds.
    """
    folder = DatasetFolder(root)
    everyone = folder.split_rows()
    if Subset.TRAINING in subsets:
        _check_split(root, everyone, package)
    cases = []
    for row in sorted(everyone, key=lambda row: row.case):
        if row.subset not in subsets or row.excluded:
            continue
        kind = folder.where(row.case)
        if kind is None:
            raise DatasetError(f"case {row.case} has no pair of image and labels in {root}")
        folds = (str(row.fold),) if row.subset is Subset.TRAINING else None
        image = folder.pair(kind, row.case)[0]
        cases.append(PredictionCase(row.case, image, row.subset.value, row.fold, folds=folds))
    if not cases:
        raise DatasetError(
            f"{root.name} has no case of the subsets {', '.join(subsets)}",
            advice="Split it with `cspine dataset split`.",
        )
    return cases


def names_in_dataset(root: Path) -> frozenset[str]:
    """Return the names of a dataset's cases of any subset that can be predicted."""
    return frozenset(
        row.case for row in DatasetFolder(root).split_rows() if row.subset in _SUBSETS and not row.excluded
    )


def split_of(root: Path) -> str:
    """Return the checksum of a dataset's split."""
    return split_checksum(DatasetFolder(root).rows())


def _check_split(root: Path, everyone: Sequence[CaseRow], package: ModelPackage) -> None:
    advice = "Predict training cases with the model that `cspine train` made of this dataset and this split alone."
    name = package.manifest.name
    if package.manifest.split is None:
        raise SplitError(f"model {name} does not say which cases each fold was trained on", advice=advice)
    if package.manifest.split != split_checksum(everyone):
        raise SplitError(f"model {name} was trained on another split than {root.name} has", advice=advice)
    for stage in package.stages:
        wanted = {str(row.fold) for row in everyone if row.subset is Subset.TRAINING}
        missing = sorted(wanted - set(stage.manifest.folds))
        if missing:
            raise SplitError(
                f"model {name} has no fold {', '.join(missing)}, the only ones that were not trained on their cases",
                advice="Train these folds too, or omit the subset training.",
            )


def _named_studies(source: Path, scan: Scan) -> list[PredictionCase]:
    studies = scan.named_studies()
    tops = [{_top(source, i.path) for series in study.series for i in series.instances} for study in studies.values()]
    holders = Counter(top for found in tops for top in found)
    cases = []
    for (name, study), found in zip(studies.items(), tops, strict=True):
        top = next(iter(found)) if len(found) == 1 else ""
        cases.append(PredictionCase(top if top and holders[top] == 1 else name, study=study))
    return cases


def _top(source: Path, path: Path) -> str:
    """Name of the folder in ``source`` that holds a file; empty for one that lies there itself."""
    parts = path.relative_to(source).parts if path.is_relative_to(source) else ()
    return parts[0] if len(parts) > 1 else ""
