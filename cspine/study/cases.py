"""A case of a study and the files that belong to it: the one place that knows how images and labels are named.

Images are called ``NAME_0000.nii.gz``, as nnU-Net calls the first channel of a case, and labels ``NAME.nii.gz``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cspine.core.errors import InputError
from cspine.io.nifti_files import ENDING, nifti_stem

#: nnU-Net's mark of the first channel of an image.
CHANNEL = "_0000"
#: Where the image of a case may lie within a folder of images.
_PLACES = (f"{{case}}{CHANNEL}{ENDING}", f"{{case}}{ENDING}", f"{{case}}/ct{ENDING}")


@dataclass(frozen=True)
class Case:
    """One case: an image that a study looks at under one name.

    Parameters
    ----------
    name : str
        Name of the case, and the stem of its files.
    image : Path or None
        CT image as NIfTI; None where there is none, or where it is a DICOM series.
    subset : str
        Subset of the study that it belongs to; empty outside a dataset.
    fold : int or None
        Fold in which a training case is validated.
    """

    name: str
    image: Path | None = None
    subset: str = ""
    fold: int | None = None


def image_name(case: str) -> str:
    """Return the name of the image of a case: ``NAME_0000.nii.gz``."""
    return f"{case}{CHANNEL}{ENDING}"


def labels_name(case: str) -> str:
    """Return the name of the labels of a case: ``NAME.nii.gz``."""
    return f"{case}{ENDING}"


def raw_pair(root: Path, case: str, kind: str = "Tr") -> tuple[Path, Path]:
    """Return where the image and the labels of a case lie in an nnU-Net raw dataset.

    Parameters
    ----------
    root : Path
        The dataset.
    case : str
        Name of the case.
    kind : str
        Ending of the two folders: ``Tr`` for training, ``Ts`` for testing.
    """
    return root / f"images{kind}" / image_name(case), root / f"labels{kind}" / labels_name(case)


def image_of(folder: Path, case: str) -> Path | None:
    """Return the image of a case in a folder of images, where it may have a folder of its own; None if it has none.

    Parameters
    ----------
    folder : Path
        Folder of images.
    case : str
        Name of the case.
    """
    return next((path for place in _PLACES if (path := folder / place.format(case=case)).is_file()), None)


def name_of(image: Path, marks: Sequence[str] = (CHANNEL,)) -> str:
    """Return the name of the case of an image: its file name without the ending and a mark.

    Parameters
    ----------
    image : Path
        A NIfTI file.
    marks : sequence of str
        What may follow the name of a case, such as nnU-Net's channel.
    """
    return nifti_stem(image).removesuffix(_mark_of(image, marks))


def images_by_case(images: Iterable[Path], marks: Sequence[str] = (CHANNEL,)) -> dict[str, Path]:
    """Return each image under the name of its case, in the order of the names.

    Parameters
    ----------
    images : iterable of Path
        NIfTI files.
    marks : sequence of str
        As of `name_of`.

    Raises
    ------
    InputError
        If two images are of one case.
    """
    named = sorted((name_of(image, marks), image) for image in images)
    refuse_namesakes(name for name, _ in named)
    return dict(named)


def marked(images: Iterable[Path], marks: Sequence[str]) -> list[Path]:
    """Return the images whose names end in one of the marks.

    Parameters
    ----------
    images : iterable of Path
        Image files.
    marks : sequence of str
        Ends of names before the ending of the file, for example ``"_0000"``.
    """
    return [image for image in images if _mark_of(image, marks)]


def refuse_namesakes(names: Iterable[str]) -> None:
    """Refuse cases of which two have one name.

    Parameters
    ----------
    names : iterable of str
        Names of cases.

    Raises
    ------
    InputError
        With the names that occur twice.
    """
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise InputError(f"two images of one case: {', '.join(twice[:5])}", advice="Rename or remove one of them.")


def _mark_of(image: Path, marks: Sequence[str]) -> str:
    name = nifti_stem(image)
    return next((mark for mark in marks if name.endswith(mark) and name != mark), "")
