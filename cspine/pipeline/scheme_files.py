"""Files of other systems: which label scheme a folder follows, and its labels as those of `cspine.core.anatomy`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cspine.core.anatomy import VERTEBRAE, Vertebra, parse_name
from cspine.core.errors import LabelSchemeError
from cspine.core.volumes import LabelVolume
from cspine.io import nifti
from cspine.io.documents import read_json
from cspine.io.masks import combine_masks, mask_name
from cspine.io.output_folder import PREDICT, summary_of
from cspine.pipeline.label_schemes import MASKS, NNUNET, SCHEMES, SEG, VERSE, LabelScheme, require_scheme

_DATASET_JSON = "dataset.json"


def scheme_of_folder(folder: Path, named: str | None) -> str:
    """Return the scheme of a folder of labels: the one named, else ``nnunet`` by a dataset.json, else ``verse``.

    Labels of `cspine predict` are ``verse``, also where their folder lies in that of a dataset.

    Parameters
    ----------
    folder : Path
        The folder; dataset.json lies in it or beside it.
    named : str or None
        What the caller says.

    Raises
    ------
    UsageError
        If there is no scheme of that name.
    LabelSchemeError
        If dataset.json is needed, and absent or of no use.
    """
    require_scheme(named)
    of_predict = summary_of(folder, PREDICT) is not None
    scheme = named or (NNUNET if _dataset_json(folder) is not None and not of_predict else VERSE)
    if scheme == NNUNET:
        _of_files_in(folder)  # errors of dataset.json are reported before any work
    return scheme


def scheme_of_dataset(path: Path) -> LabelScheme:
    """Return the scheme that a dataset.json gives: its names that mean a level, all others background.

    Parameters
    ----------
    path : Path
        File dataset.json of an nnU-Net dataset or prediction.

    Raises
    ------
    LabelSchemeError
        If the file cannot be used, or none of its names means a level.
    """
    try:
        labels = read_json(path)["labels"]
        numbers = {name: int(number) for name, number in labels.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LabelSchemeError(
            f"{path.name} in {path.parent.name} gives no number a label",
            advice="Name the scheme of the labels, or give a dataset.json with one number per name.",
        ) from error
    levels = {number: level.name for name, number in numbers.items() if (level := parse_name(name)) is not None}
    if not levels:
        raise LabelSchemeError(f"no name in {path.name} of {path.parent.name} means a vertebra")
    others = frozenset(number for number in numbers.values() if number not in levels)
    return LabelScheme(NNUNET, str(path), levels, others)


def _dataset_json(folder: Path) -> Path | None:
    places = (folder / _DATASET_JSON, folder.absolute().parent / _DATASET_JSON)
    return next((path for path in places if path.is_file()), None)


def levels_of_files(files: Iterable[tuple[Path, str]]) -> frozenset[str] | None:
    """Return the levels that files can name by their schemes; None where a file may name any level of cspine.

    Parameters
    ----------
    files : iterable of (Path, str)
        Files, or folders of masks, with the scheme of each.

    Raises
    ------
    LabelSchemeError
        If a dataset.json cannot be used.
    """
    found: frozenset[str] = frozenset()
    for scheme, folder in sorted({(scheme, path.parent) for path, scheme in files}):
        if scheme in (MASKS, SEG) or (scheme != NNUNET and SCHEMES[scheme].levels == SCHEMES[VERSE].levels):
            return None
        found |= frozenset(_table(scheme, folder).levels.values())
    return found or None


def read_labels(path: Path, scheme: str) -> LabelVolume:
    """Read labels of a scheme as labels of `cspine.core.anatomy`; other structures become background.

    Parameters
    ----------
    path : Path
        A NIfTI file, for ``masks`` the folder of a case, for ``dicom-seg`` a DICOM file.
    scheme : str
        One of `SCHEME_NAMES`.

    Raises
    ------
    InputError
        If a file is no label image.
    LabelSchemeError
        If it holds numbers that the scheme does not know, or a folder has no mask of a vertebra.
    CaseGridError
        If the masks of a folder lie on different grids.
    """
    if scheme == MASKS:
        return _read_masks(path)
    if scheme == SEG:
        from cspine.dicom.read_seg import read_segmentation  # brings highdicom, which NIfTI does not need

        return read_segmentation(path)
    return _table(scheme, path.parent).to_anatomy(nifti.read_labels(path), path.name)


def _table(scheme: str, folder: Path) -> LabelScheme:
    return _of_files_in(folder) if scheme == NNUNET else SCHEMES[scheme]


def _of_files_in(folder: Path) -> LabelScheme:
    found = _dataset_json(folder)
    if found is None:
        raise LabelSchemeError(
            f"no {_DATASET_JSON} in {folder.name} or beside it",
            advice="nnU-Net's labels need their dataset.json; or name another scheme.",
        )
    return scheme_of_dataset(found)


def levels_of_masks(folder: Path) -> frozenset[str]:
    """Return the levels that a folder of masks has a file of."""
    return frozenset(level.name for level in VERTEBRAE if _mask(folder, level).is_file())


def _mask(folder: Path, level: Vertebra) -> Path:
    return folder / mask_name(level.name)


def _read_masks(folder: Path) -> LabelVolume:
    """Read one file per vertebra; a voxel of two masks belongs to the level that lies further down."""
    files = ((_mask(folder, level), level.label) for level in VERTEBRAE)
    combined = combine_masks((path, label) for path, label in files if path.is_file())
    if combined is None:
        raise LabelSchemeError(
            f"no mask of a vertebra in {folder.name}", advice=f"A folder of masks has files like {mask_name('C1')}."
        )
    return combined.labels
