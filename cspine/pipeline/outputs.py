"""What a run can write, by name: `--outputs` takes these names; a further format needs one entry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cspine.core.errors import DicomSourceNeededError, UsageError
from cspine.io.output import (
    ELEMENTS,
    KEY_OBJECTS,
    LABELS,
    LABELS_SIDECAR,
    MEASUREMENTS,
    PAGE,
    PDF,
    PREVIEW,
    REPORT,
    SC,
    SEGMENTATION,
    STRUCTURES,
    SUMMARY,
    SURFACES,
)

if TYPE_CHECKING:
    from cspine.core.volumes import CtVolume
    from cspine.dicom.derived import ObjectSettings
    from cspine.dicom.seg import SegRecord
    from cspine.pipeline.segmentation import Vertebrae
    from cspine.pipeline.settings import RunSettings
    from cspine.report.summary import Summary


@dataclass(frozen=True)
class Material:
    """What outputs are made of.

    Parameters
    ----------
    ct : CtVolume
        The image.
    vertebrae : Vertebrae
        The cleaned labels with their findings.
    objects : ObjectSettings
        What all DICOM objects of a run have in common: clock, settings, remark.
    summary : Summary
        Everything that is known so far, with the outputs that were written before this one.
    settings : RunSettings
        Settings of the run.
    segmentation : SegRecord or None
        The DICOM Segmentation, if one was written.
    """

    ct: CtVolume
    vertebrae: Vertebrae
    objects: ObjectSettings
    summary: Summary
    settings: RunSettings
    segmentation: SegRecord | None = None


@dataclass(frozen=True)
class WrittenOutput:
    """What is known about an output once it is written.

    Parameters
    ----------
    sop_instance_uid : str or None
        UID of a DICOM object.
    warnings : tuple of str
        What users of the files have to know, for the summary.
    """

    sop_instance_uid: str | None = None
    warnings: tuple[str, ...] = ()


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
        Writes it to a path; None for an output with a step of its own. An output that has nothing to say writes no
        file, and returns None.
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
    write: Callable[[Material, Path], WrittenOutput | None] | None = None
    needs_dicom: bool = False
    by_default: tuple[bool, bool] = (True, True)
    beside: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """Paths of all its files and folders within the output folder."""
        return (self.file, *self.beside)


def _write_pdf(material: Material, path: Path) -> WrittenOutput:
    from cspine.dicom.encapsulated_pdf import write_encapsulated_pdf
    from cspine.report.pdf import report_pdf

    labels = material.vertebrae.labels
    document = report_pdf(material.summary, material.ct, labels, material.vertebrae.findings)
    return WrittenOutput(write_encapsulated_pdf(document, labels, material.ct, material.objects, path))


def _write_sc(material: Material, path: Path) -> WrittenOutput:
    from cspine.dicom.secondary_capture import write_secondary_capture
    from cspine.report.preview import marked_preview

    labels = material.vertebrae.labels
    picture = marked_preview(material.ct, labels, material.summary.model_title, material.vertebrae.findings)
    return WrittenOutput(write_secondary_capture(picture, labels, material.ct, material.objects, path))


def _write_key_objects(material: Material, path: Path) -> WrittenOutput | None:
    from cspine.dicom.key_objects import write_key_objects

    vertebrae, picture = material.vertebrae, path.with_name(SC)
    # Where it was written by this run, it is listed in the summary so far.
    pictures = [picture] if any(output.file == f"dicom/{SC}" for output in material.summary.outputs) else []
    uid = write_key_objects(vertebrae.findings, vertebrae.labels, material.ct, material.objects, path, pictures)
    return WrittenOutput(uid) if uid is not None else None


def _write_structures(material: Material, path: Path) -> WrittenOutput:
    from cspine.dicom.rtstruct import write_structure_set

    return WrittenOutput(write_structure_set(material.vertebrae.labels, material.ct, material.objects, path))


def _write_labels(material: Material, path: Path) -> None:
    from cspine.io import nifti
    from cspine.report.sidecar import write_sidecar

    labels = material.vertebrae.labels
    nifti.write(path, labels.labels_zyx, labels.affine_lps)
    write_sidecar(labels, material.vertebrae.findings, path.with_name(LABELS_SIDECAR))


def _write_preview(material: Material, path: Path) -> None:
    from cspine.report.preview import render_preview

    labels = material.vertebrae.labels
    render_preview(material.ct, labels, material.summary.model_title, material.vertebrae.findings, path)


def _write_page(material: Material, path: Path) -> None:
    from cspine.report.page.html import write_page

    write_page(material.summary, material.ct, material.vertebrae.labels, path)


def _write_surfaces(material: Material, path: Path) -> None:
    from cspine.pipeline.geometry import write_surface_files

    folder = path.parents[1] / "dicom"
    labels, remark = material.vertebrae.labels, material.objects.remark
    write_surface_files(material.ct, labels, material.settings, path, folder, remark=remark)


def _write_elements(material: Material, path: Path) -> WrittenOutput:
    from cspine.pipeline.geometry import element_warnings, write_element_files

    model = write_element_files(material.ct, material.vertebrae.labels, material.settings.elements, path)
    return WrittenOutput(warnings=element_warnings(model))


#: Every output, in the order in which they are written.
OUTPUTS: tuple[OutputFormat, ...] = (
    OutputFormat("seg", f"dicom/{SEGMENTATION}", "DICOM SEG", needs_dicom=True, by_default=(True, False)),
    OutputFormat("sr", f"dicom/{REPORT}", "DICOM SR", needs_dicom=True, by_default=(True, False)),
    OutputFormat("pdf", f"dicom/{PDF}", "PDF in DICOM", _write_pdf, needs_dicom=True, by_default=(False, False)),
    OutputFormat("sc", f"dicom/{SC}", "DICOM SC", _write_sc, needs_dicom=True, by_default=(False, False)),
    OutputFormat(
        "ko", f"dicom/{KEY_OBJECTS}", "DICOM KO", _write_key_objects, needs_dicom=True, by_default=(False, False)
    ),
    OutputFormat(
        "rtstruct", f"dicom/{STRUCTURES}", "DICOM RTSTRUCT", _write_structures,
        needs_dicom=True, by_default=(False, False),
    ),
    OutputFormat(
        "nifti", f"report/{LABELS}", "Labels", _write_labels,
        by_default=(False, True), beside=(f"report/{LABELS_SIDECAR}",),
    ),
    OutputFormat("preview", f"report/{PREVIEW}", "Picture", _write_preview),
    OutputFormat("report", f"report/{PAGE}", "Report", _write_page),
    OutputFormat("surfaces", f"report/{SURFACES}", "Surfaces", _write_surfaces, by_default=(False, False)),
    OutputFormat("fe", f"report/{ELEMENTS}", "Finite elements", _write_elements, by_default=(False, False)),
    OutputFormat("summary", f"report/{SUMMARY}", "Summary", beside=(f"report/{MEASUREMENTS}",)),
)  # fmt: skip
#: Names of all of them, and of those that are written unless a user names some: for a DICOM series, for another image.
OUTPUT_NAMES = tuple(output.name for output in OUTPUTS)
DEFAULT_OUTPUTS, DEFAULT_IMAGE_OUTPUTS = (
    tuple(output.name for output in OUTPUTS if output.by_default[kind]) for kind in (0, 1)
)


def output_named(name: str) -> OutputFormat:
    """Return the output of a name.

    Parameters
    ----------
    name : str
        For example ``"seg"``.

    Raises
    ------
    KeyError
        If there is none.
    """
    return {output.name: output for output in OUTPUTS}[name]


def parse_outputs(text: str) -> tuple[str, ...]:
    """Return the outputs in a user's text, for example ``"seg,nifti"``, in the order of `OUTPUTS`.

    Parameters
    ----------
    text : str
        Names separated by commas; case and spaces do not matter.

    Raises
    ------
    UsageError
        If a name is unknown, or none is given.
    """
    wanted = {part.strip().lower() for part in text.split(",") if part.strip()}
    return checked_outputs(wanted)


def checked_outputs(wanted: Sequence[str] | set[str]) -> tuple[str, ...]:
    """Return names of outputs in the order of `OUTPUTS`.

    Parameters
    ----------
    wanted : sequence or set of str
        Names of outputs.

    Raises
    ------
    UsageError
        If a name is unknown, or none is given.
    """
    unknown = sorted(set(wanted) - set(OUTPUT_NAMES))
    if unknown or not wanted:
        what = f"there is no output {unknown[0]!r}" if unknown else "no output is named"
        raise UsageError(what, advice=f"Give some of: {', '.join(OUTPUT_NAMES)}.")
    return tuple(name for name in OUTPUT_NAMES if name in wanted)


def with_summary(wanted: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Return outputs with the summary among them, for a caller that reads it; None stays the default, which has it.

    Parameters
    ----------
    wanted : tuple of str or None
        Names of outputs; None for the default of the source.

    Raises
    ------
    UsageError
        If a name is unknown.
    """
    return None if wanted is None else checked_outputs({*wanted, "summary"})


def check_outputs(settings: RunSettings, *, has_dicom: bool) -> None:
    """Refuse outputs that need a DICOM series where there is none, before anything is computed.

    Parameters
    ----------
    settings : RunSettings
        Settings with the outputs and the formats of surfaces.
    has_dicom : bool
        True if the image comes from a DICOM series.

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
        wanted = DEFAULT_OUTPUTS if has_dicom else DEFAULT_IMAGE_OUTPUTS
    chosen = tuple(output for output in OUTPUTS if output.name in wanted)
    refused = [output.name for output in chosen if output.needs_dicom and not has_dicom]
    if refused:
        raise DicomSourceNeededError(f"{', '.join(refused)} cannot be written for an image that is not DICOM")
    return chosen
