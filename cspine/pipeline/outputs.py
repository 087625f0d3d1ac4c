"""What a run can write, by name: `--outputs` takes these names; a further format needs one entry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cspine.core.errors import DicomSourceNeededError, UsageError
from cspine.io.output import ELEMENTS, LABELS, MEASUREMENTS, PREVIEW, REPORT, SEGMENTATION, SUMMARY, SURFACES

if TYPE_CHECKING:
    from cspine.core.volumes import CtVolume
    from cspine.pipeline.segmentation import Vertebrae
    from cspine.pipeline.settings import RunSettings


@dataclass(frozen=True)
class OutputFormat:
    """A file, or a folder of files, that a run can write.

    Parameters
    ----------
    name : str
        Name for ``--outputs``.
    file : str
        Path within the output folder.
    title : str
        Name at the terminal.
    write : callable or None
        Writes it from the image, its vertebrae and the settings to a path; None for an output with a step of its own.
    needs_dicom : bool
        True for an object that refers to the instances of a DICOM series.
    by_default : tuple of bool
        Whether it is written by default: for a DICOM series, for another image.
    beside : tuple of str
        Paths of files that are written together with it.
    """

    name: str
    file: str
    title: str
    write: Callable[[CtVolume, Vertebrae, RunSettings, Path], None] | None = None
    needs_dicom: bool = False
    by_default: tuple[bool, bool] = (True, True)
    beside: tuple[str, ...] = ()


def _write_labels(_: CtVolume, vertebrae: Vertebrae, __: RunSettings, path: Path) -> None:
    from cspine.io import nifti

    nifti.write(path, vertebrae.labels.labels_zyx, vertebrae.labels.affine_lps)


def _write_preview(ct: CtVolume, vertebrae: Vertebrae, _: RunSettings, path: Path) -> None:
    from cspine.report.preview import render_preview

    model = vertebrae.labels.model
    render_preview(ct, vertebrae.labels, model.title if model else "", vertebrae.findings, path)


def _write_surfaces(ct: CtVolume, vertebrae: Vertebrae, settings: RunSettings, path: Path) -> None:
    from cspine.pipeline.geometry import write_surface_files

    write_surface_files(ct, vertebrae.labels, settings, path, path.parents[1] / "dicom")


def _write_elements(ct: CtVolume, vertebrae: Vertebrae, settings: RunSettings, path: Path) -> None:
    from cspine.pipeline.geometry import write_element_files

    write_element_files(ct, vertebrae.labels, settings.elements, path)


#: Every output, in the order in which they are written.
OUTPUTS: tuple[OutputFormat, ...] = (
    OutputFormat("seg", f"dicom/{SEGMENTATION}", "DICOM SEG", needs_dicom=True, by_default=(True, False)),
    OutputFormat("sr", f"dicom/{REPORT}", "DICOM SR", needs_dicom=True, by_default=(True, False)),
    OutputFormat("nifti", f"report/{LABELS}", "Labels", _write_labels, by_default=(False, True)),
    OutputFormat("preview", f"report/{PREVIEW}", "Picture", _write_preview),
    OutputFormat("surfaces", f"report/{SURFACES}", "Surfaces", _write_surfaces, by_default=(False, False)),
    OutputFormat("fe", f"report/{ELEMENTS}", "Finite elements", _write_elements, by_default=(False, False)),
    OutputFormat("summary", f"report/{SUMMARY}", "Summary", beside=(f"report/{MEASUREMENTS}",)),
)


def parse_outputs(text: str) -> tuple[str, ...]:
    """Return the outputs in a user's text, for example ``"seg,nifti"``, in the order of `OUTPUTS`.

    Raises
    ------
    UsageError
        If a name is unknown, or none is given.
    """
    wanted = {part.strip().lower() for part in text.split(",") if part.strip()}
    return checked_outputs(wanted)


def checked_outputs(wanted: Sequence[str] | set[str]) -> tuple[str, ...]:
    """Return names of outputs in the order of `OUTPUTS`; UsageError for an unknown name, or for none."""
    known = [output.name for output in OUTPUTS]
    unknown = sorted(set(wanted) - set(known))
    if unknown or not wanted:
        what = f"there is no output {unknown[0]!r}" if unknown else "no output is named"
        raise UsageError(what, advice=f"Give some of: {', '.join(known)}.")
    return tuple(name for name in known if name in wanted)


def check_outputs(settings: RunSettings, *, has_dicom: bool) -> None:
    """Refuse outputs that need a DICOM series where there is none, before anything is computed.

    Raises
    ------
    DicomSourceNeededError
        As `chosen_outputs`, and for surfaces as DICOM objects.
    """
    chosen = chosen_outputs(settings.outputs, has_dicom=has_dicom)
    if any(output.name == "surfaces" for output in chosen):
        settings.surfaces.require_source(has_dicom=has_dicom)


def chosen_outputs(wanted: Sequence[str] | None, *, has_dicom: bool) -> tuple[OutputFormat, ...]:
    """Return the outputs of a run.

    Parameters
    ----------
    wanted : sequence of str or None
        Names; None for the default of the source.
    has_dicom : bool
        True if the image comes from a DICOM series.

    Raises
    ------
    DicomSourceNeededError
        If an output needs a DICOM series and there is none.
    """
    if wanted is None:
        return tuple(output for output in OUTPUTS if output.by_default[0 if has_dicom else 1])
    chosen = tuple(output for output in OUTPUTS if output.name in wanted)
    refused = [output.name for output in chosen if output.needs_dicom and not has_dicom]
    if refused:
        raise DicomSourceNeededError(f"{', '.join(refused)} cannot be written for an image that is not DICOM")
    return chosen
