"""The labels and the image that commands on existing results take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from cspine.core.errors import InputError

if TYPE_CHECKING:
    from cspine.core.volumes import CtVolume, LabelVolume

Command = TypeVar("Command", bound=Callable[..., object])
_PATH = click.Path(path_type=Path)


def label_options(command: Command) -> Command:
    """Add the argument LABELS and the options that say what it means."""
    options = (
        click.argument("labels", metavar="LABELS", type=_PATH),
        click.option("--out", required=True, type=_PATH, help="Folder of the results, which is created."),
        click.option("--scheme", metavar="NAME", help="As `cspine evaluate --list-schemes` says.  [default: verse]"),
        click.option("--ct", type=_PATH, help="The image: a folder or .zip of DICOM, or a .nii.gz."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def read_label_input(path: Path, scheme: str | None) -> LabelVolume:
    """Read labels: a NIfTI file, a DICOM Segmentation, or a folder with one mask a vertebra.

    Raises
    ------
    InputError
        If there is no such file, or it holds no labels.
    LabelSchemeError
        If it holds numbers that the scheme does not know.
    """
    from cspine.study.label_schemes import MASKS, SCHEME_NAMES, SEG, VERSE, read_labels

    if not path.exists():
        raise InputError(
            f"{path.name} does not exist", advice="Pass labels as .nii.gz, a DICOM SEG, or a folder of masks."
        )
    if scheme is not None and scheme not in SCHEME_NAMES:
        raise click.BadParameter(f"{scheme!r} is not one of {', '.join(SCHEME_NAMES)}", param_hint="--scheme")
    usual = MASKS if path.is_dir() else SEG if path.suffix.lower() == ".dcm" else VERSE
    return read_labels(path, scheme or usual)


@contextmanager
def ct_input(path: Path | None, labels: LabelVolume) -> Iterator[CtVolume | None]:
    """Yield the image of labels, whose files stay readable meanwhile; None if none is given.

    Raises
    ------
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
    from cspine.pipeline.settings import RunSettings
    from cspine.pipeline.steps import choose_series, read_ct, read_headers

    settings = RunSettings()
    with open_input(path) as folder:
        yield read_ct(choose_series(read_headers(folder), settings, labels.levels), settings)
