"""Surfaces and finite elements of a result, or of any labels, in memory and as files."""

from __future__ import annotations

import logging
from pathlib import Path

from cspine.core.padding import with_cut_labels
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.dicom.derived import ObjectSettings
from cspine.dicom.encapsulated_stl import StlDocument, write_surface_objects
from cspine.pipeline.settings import RunSettings
from cspine.surfaces.fe_model import FeModel, build_model
from cspine.surfaces.fe_settings import FeSettings
from cspine.surfaces.fe_write import model_files, write_model
from cspine.surfaces.formats import surface_bytes
from cspine.surfaces.settings import DICOM, SurfaceSettings
from cspine.surfaces.vertebrae import VertebraSurface, vertebra_surfaces
from cspine.surfaces.write import surface_files, write_surfaces

#: Partial volumes of fat explain fewer elements whose density is limited.
_NOTED_SHARE = 0.2
_log = logging.getLogger(__name__)


def surfaces_of(
    labels: LabelVolume, ct: CtVolume | None, gap_mm: float = 0.0, *, ends_with_labels: bool = False
) -> list[VertebraSurface]:
    """Return the closed surface of each vertebra, millimetres in LPS, from head to foot.

    Parameters
    ----------
    labels : LabelVolume
        Labels of `cspine.core.anatomy`.
    ct : CtVolume or None
        The image, which may end within a vertebra.
    gap_mm : float
        As `SurfaceSettings.gap_mm`.
    ends_with_labels : bool
        As `padding.with_cut_labels`.

    Raises
    ------
    UsageError
        If the distance is out of its range.
    NoVertebraError
        If there is no vertebra.
    """
    gap_mm = SurfaceSettings(gap_mm=gap_mm).gap_mm
    return vertebra_surfaces(with_cut_labels(labels, ct, ends_with_labels=ends_with_labels), gap_mm)


def elements_of(
    labels: LabelVolume, ct: CtVolume | None, settings: FeSettings, *, ends_with_labels: bool = False
) -> FeModel:
    """Return tetrahedra of each vertebra with their sets and materials.

    Parameters
    ----------
    labels, ct, ends_with_labels
        As of `surfaces_of`; the image gives the material, and constants are used without one.
    settings : FeSettings
        Edge length, gaps, discs.

    Raises
    ------
    MeshError
        If no vertebra can be meshed.
    """
    return build_model(with_cut_labels(labels, ct, ends_with_labels=ends_with_labels), ct, settings)


def write_surface_files(
    ct: CtVolume | None,
    labels: LabelVolume,
    settings: RunSettings,
    folder: Path,
    dicom_folder: Path,
    *,
    remark: str = "",
    ends_with_labels: bool = False,
) -> list[VertebraSurface]:
    """Write the surfaces of labels, as Encapsulated STL objects too if their format is wanted.

    Parameters
    ----------
    ct : CtVolume, optional
        The image, which DICOM objects refer to.
    labels : LabelVolume
        Labels of `cspine.core.anatomy`.
    settings : RunSettings
        Formats, clock.
    folder, dicom_folder : Path
        Folders of the files and of the DICOM objects.
    remark : str
        Prefix of the series description of DICOM objects.
    ends_with_labels : bool
        As `padding.with_cut_labels`.

    Raises
    ------
    DicomSourceNeededError
        If DICOM objects are wanted and the image does not come from DICOM.
    NoVertebraError
        If there is no vertebra.
    OutputNotEmptyError
        If a folder has a file of another origin that would be replaced.
    OutputError
        If a file cannot be written.
    InputError, MissingAttributeError, GeometryError
        As `dicom.derived.read_origin`, of DICOM objects.
    """
    settings.surfaces.require_source(has_dicom=ct is not None and ct.source is not None)
    surface_files(folder).check()
    found = surfaces_of(labels, ct, settings.surfaces.gap_mm, ends_with_labels=ends_with_labels)
    write_surfaces(found, settings.surfaces, folder, with_objects=dicom_folder == folder)
    if DICOM in settings.surfaces.formats and ct is not None:
        documents = [StlDocument(each.surface.vertebra, surface_bytes(each.surface, "stl")) for each in found]
        parameters = (*settings.as_text().items(), ("gap_mm", f"{settings.surfaces.gap_mm:g}"))
        common = ObjectSettings(settings.clock, parameters, remark)
        write_surface_objects(documents, ct, labels.model, common, dicom_folder)
    return found


def write_element_files(
    ct: CtVolume | None, labels: LabelVolume, settings: FeSettings, folder: Path, *, ends_with_labels: bool = False
) -> FeModel:
    """Write the finite-element model of labels, and log the vertebrae that it lacks.

    Parameters
    ----------
    ct : CtVolume or None
        Image that gives the material; constants are used without one.
    labels : LabelVolume
        The vertebrae.
    settings : FeSettings
        Edge length, gaps, formats.
    folder : Path
        Folder of the files.
    ends_with_labels : bool
        As in `with_cut_labels`.

    Raises
    ------
    CSpineError
        As in `elements_of` and `fe_write.write_model`.
    """
    model_files(folder).check()
    model = elements_of(labels, ct, settings, ends_with_labels=ends_with_labels)
    for warning in element_warnings(model):
        _log.warning("%s", warning)
    write_model(model, settings, folder)
    return model


def element_warnings(model: FeModel) -> tuple[str, ...]:
    """Return what users of a finite-element model have to know: what it lacks, and which densities are limited.

    Parameters
    ----------
    model : FeModel
        The model.
    """
    lacking = [f"finite elements: left out {level}: it {reason}" for level, reason in model.rejected.items()]
    lacking += [
        f"finite elements: no disc between {pair.replace('-', ' and ')}: {reason}"
        for pair, reason in model.without_disc.items()
    ]
    limited = [
        f"finite elements: {part.name} has the least or largest density in {part.clipped_share:.0%} of its elements"
        for part in model.vertebrae
        if part.clipped_share > _NOTED_SHARE
    ]
    return (*lacking, *limited)
