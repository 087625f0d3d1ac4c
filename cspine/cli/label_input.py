"""The labels and the image that commands on existing results take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from cspine.core.errors import InputError

if TYPE_CHECKING:
    from cspine.core.volumes import CtVolume
    from cspine.pipeline.labelled import Labelled

Command = TypeVar("Command", bound=Callable[..., object])
_PATH = click.Path(path_type=Path)


def label_options(command: Command) -> Command:
    """Add the argument LABELS and the options that say what it means."""
    options = (
        click.argument("labels", metavar="LABELS", type=_PATH),
        click.option("--out", required=True, type=_PATH, help="Folder of the results, which is created."),
        click.option("--scheme", metavar="NAME", help="As `cspine evaluate --list-schemes` says.  [default: verse]"),
        click.option("--ct", type=_PATH, help="The image: a folder or .zip of DICOM, or a .nii.gz."),
        click.option("--series-uid", help="Use this series of the CT folder.  [default: the one that the SEG names]"),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def read_label_input(path: Path, scheme: str | None) -> Labelled:
    """Read labels: a NIfTI file, a DICOM Segmentation with its record, or a folder with one mask per vertebra.

    Raises
    ------
    InputError
        If there is no such file, or it holds no labels.
    LabelSchemeError
        If it holds numbers that the scheme does not know.
    """
    from cspine.pipeline.labelled import Labelled, read_labelled_seg
    from cspine.study.label_schemes import MASKS, SCHEME_NAMES, SEG, VERSE
    from cspine.study.scheme_files import read_labels

    if not path.exists():
        raise InputError(
            f"{path.name} does not exist", advice="Pass labels as .nii.gz, a DICOM SEG, or a folder of masks."
        )
    if scheme is not None and scheme not in SCHEME_NAMES:
        raise click.BadParameter(f"{scheme!r} is not one of {', '.join(SCHEME_NAMES)}", param_hint="--scheme")
    usual = MASKS if path.is_dir() else SEG if path.suffix.lower() == ".dcm" else VERSE
    scheme = scheme or usual
    return read_labelled_seg(path) if scheme == SEG else Labelled(read_labels(path, scheme))


@contextmanager
def ct_input(path: Path | None, labelled: Labelled, series_uid: str | None = None) -> Iterator[CtVolume | None]:
    """Yield the image of labels, whose files stay readable meanwhile; None if none is given.

    Parameters
    ----------
    path : Path or None
        A folder or .zip of DICOM, or a NIfTI file.
    labelled : Labelled
        The labels.
    series_uid : str, optional
        The series of a folder to take; as `pipeline.labelled.choose_series_of` if omitted.

    Raises
    ------
    OtherImageError
        If a segmentation is of another patient or frame of reference than the image.
    CSpineError
        As `cspine.read_ct`.
    """
    if path is None:
        yield None
        return
    from cspine.pipeline.source import SourceKind, kind_of_source

    if kind_of_source(path) is SourceKind.NIFTI:
        from cspine.io.ct_image import read_ct_image

        yield read_ct_image(path)
        return
    from cspine.dicom.archive import open_input
    from cspine.pipeline.labelled import choose_series_of, require_same_source
    from cspine.pipeline.settings import RunSettings
    from cspine.pipeline.steps import read_ct, read_headers

    settings = RunSettings(series_uid=series_uid)
    with open_input(path) as folder:
        ct = read_ct(choose_series_of(labelled, read_headers(folder), settings), settings)
        require_same_source(labelled, ct)
        yield ct
