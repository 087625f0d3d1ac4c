"""The functions of `import cspine`: from a CT to its vertebrae, in Python.

Everything here walks the steps of `cspine.pipeline`, as `cspine run` and the MONAI Deploy application do.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cspine.core.anatomy import CERVICAL_LEVELS, as_levels
from cspine.core.errors import UsageError
from cspine.core.progress import ProgressCallback
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.dicom.archive import open_input
from cspine.inference.settings import EngineName, Precision
from cspine.io.console import wanted_progress
from cspine.io.machine import home_folder
from cspine.models.install import InstallOptions
from cspine.models.install import install as _install
from cspine.models.package import ModelPackage, load_package
from cspine.models.registry import FoundModel, container_folder, model_to_run, search_path, user_folder
from cspine.models.registry import list_models as _list_models
from cspine.pipeline import steps
from cspine.pipeline.result import Segmentation
from cspine.pipeline.series_list import ListedSeries, list_input
from cspine.pipeline.settings import RunSettings
from cspine.pipeline.source import SourceKind, kind_of_source
from cspine.pipeline.study import segment_image, segment_study

if TYPE_CHECKING:
    import SimpleITK as sitk  # noqa: N813
    from nibabel.spatialimages import SpatialImage

    from cspine.models.verification import PackageCheck
    from cspine.pipeline.measured_labels import MeasuredLabels

    #: What `segment` and `read_ct` take.
    Source = str | os.PathLike[str] | CtVolume | sitk.Image | SpatialImage

#: A model: its name, the folder of its package, or the package as `load_model` gives it.
Model = str | os.PathLike[str] | ModelPackage


def segment(
    source: Source,
    model: Model | None = None,
    *,
    series: str | None = None,
    levels: str | Iterable[str] | None = None,
    device: str | None = None,
    precision: Precision | None = None,
    engine: EngineName | None = None,
    settings: RunSettings | None = None,
    progress: bool | ProgressCallback | None = None,
) -> Segmentation:
    """Segment the vertebrae of a CT.

    Parameters
    ----------
    source : path, CtVolume, SimpleITK.Image or nibabel image
        A folder or zip of DICOM, a NIfTI file, or an image in memory, in Hounsfield units.
    model : str, path or ModelPackage, optional
        Name of an installed model, folder of a package, or a loaded package; `cspine run`'s default if omitted.
    series : str, optional
        Series Instance UID of the series to take, whatever the rules say.
    levels : str or iterable of str, optional
        Levels to keep, for example ``"C1-T1"`` or ``["C3", "C4"]``.
    device : str, optional
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
    precision : str, optional
        ``"auto"``, ``"float32"`` or ``"bfloat16"``.
    engine : str, optional
        ``"auto"``, ``"torch"`` or ``"openvino"``.
    settings : RunSettings, optional
        All other settings of a run; the options above take precedence.
    progress : bool or callable, optional
        A callable gets the tiles done and all tiles of a stage. If omitted, a bar is shown at a terminal and in a
        notebook, and nothing elsewhere; False shows none, and True also logs lines where there is no bar.

    Returns
    -------
    Segmentation

    Raises
    ------
    CSpineError
        Its subclasses say what is wrong with the input, the settings or the model.

    Examples
    --------
    >>> seg = cspine.segment("neck-ct", model="cervical-demo")  # doctest: +SKIP
    >>> seg.vertebrae["C3"].volume_ml  # doctest: +SKIP
    """
    chosen = _settings(settings or RunSettings(), series, levels, _network(device, precision, engine))
    path = _as_path(source)
    kind = kind_of_source(path) if path is not None else None
    _check_series(kind, chosen.series_uid)
    package = load_model(model)
    with wanted_progress("tiles", progress) as on_progress, ExitStack() as stack:
        if path is None:
            ct = _ct_in_memory(source)
            study = segment_image(lambda: steps.check_image(ct, chosen, package), package, chosen, on_progress)
            return Segmentation(study, chosen)
        if kind is SourceKind.NIFTI:
            read = replace(chosen, outputs=None)  # nothing is written yet: `save` decides
            study = segment_image(lambda: steps.read_image(path, read, package), package, chosen, on_progress)
            return Segmentation(study, chosen)
        scan = steps.read_headers(stack.enter_context(open_input(path)))
        study = segment_study(scan, package, chosen, on_progress)
        steps.keep_files(study.ct, stack.pop_all())
    return Segmentation(study, chosen)


def measure(
    labels: str | os.PathLike[str] | LabelVolume | sitk.Image | SpatialImage,
    ct: Source,
    *,
    scheme: str | None = None,
    series: str | None = None,
    sex: str = "",
    prior: str | os.PathLike[str] | None = None,
) -> MeasuredLabels:
    """Measure vertebrae that are labelled already.

    Parameters
    ----------
    labels : path, LabelVolume, SimpleITK.Image or nibabel image
        NIfTI file, DICOM Segmentation of any system, output folder of a run, folder with one mask per vertebra, or
        labels in memory.
    ct : path, CtVolume, SimpleITK.Image or nibabel image
        Their CT, as `segment` takes it; of a folder of DICOM, the series that the segmentation names.
    scheme : str, optional
        Label scheme of the numbers, as ``cspine evaluate --list-schemes`` prints them. If omitted, that of a
        dataset.json of nnU-Net in the folder of a file or beside it, else ``"verse"``.
    series : str, optional
        Series Instance UID of the series to take from a folder of DICOM.
    sex : str, optional
        ``"M"`` or ``"F"``, for published values; that of the header if omitted.
    prior : path, optional
        Output folder or structured report of an earlier result, to report changes since.

    Returns
    -------
    MeasuredLabels

    Raises
    ------
    UsageError
        If sex or scheme is unknown, a series is named and the CT is not DICOM, or the labels are none of these.
    LabelSchemeError
        If there are numbers that the scheme does not know.
    CSpineError
        Its subclasses say what is wrong with labels, CT or the earlier result.

    Examples
    --------
    >>> cspine.measure("labels.nii.gz", "ct.nii.gz").spine.value("C5", "body_depth_mm")  # doctest: +SKIP
    """
    from cspine.pipeline.label_schemes import in_scheme, labels_bodies
    from cspine.pipeline.labelled import Labelled, read_labelled
    from cspine.pipeline.measured_labels import measure_file, measure_image

    if sex not in ("", "M", "F"):
        raise UsageError(f"the sex {sex!r} is unknown", advice="Give M or F, or omit it for that of the header.")
    path = _as_path(ct)
    _check_series(kind_of_source(path) if path is not None else None, series)
    labelled = (
        read_labelled(Path(labels), scheme)
        if isinstance(labels, str | os.PathLike)
        else Labelled(
            in_scheme(_labels_in_memory(labels), scheme, "the array of labels"), bodies_only=labels_bodies(scheme)
        )
    )
    earlier = Path(prior) if prior is not None else None
    if path is not None:
        return measure_file(labelled, path, series_uid=series, sex=sex, prior=earlier)
    return measure_image(labelled, _ct_in_memory(ct), sex, earlier)


def read_ct(source: Source, *, series: str | None = None, settings: RunSettings | None = None) -> CtVolume:
    """Read a CT as `segment` does: the series that the rules choose, in Hounsfield units on an orthogonal grid.

    Parameters
    ----------
    source, series, settings
        As in `segment`.

    Returns
    -------
    CtVolume
        ``array`` (z, y, x) and ``affine`` (LPS, mm); `segment` takes it.

    Examples
    --------
    >>> cspine.read_ct("neck-ct").grid.spacing_xyz  # doctest: +SKIP
    """
    chosen = _settings(settings or RunSettings(), series, None)
    path = _as_path(source)
    kind = kind_of_source(path) if path is not None else None
    _check_series(kind, chosen.series_uid)
    if path is None:
        return _ct_in_memory(source)
    if kind is SourceKind.NIFTI:
        from cspine.io.ct_image import read_ct_image

        return read_ct_image(path)
    with ExitStack() as stack:
        scan = steps.read_headers(stack.enter_context(open_input(path)))
        ct = steps.read_ct(steps.choose_series(scan, chosen), chosen)
        steps.keep_files(ct, stack.pop_all())
    return ct


def list_series(
    source: str | os.PathLike[str],
    *,
    model: Model | None = None,
    rules: str | os.PathLike[str] | None = None,
    series: str | None = None,
) -> list[ListedSeries]:
    """List the DICOM series of a folder or zip, with the decision about each and its reason.

    Parameters
    ----------
    source : path
        Folder or zip.
    model : str, path or ModelPackage, optional
        Decide by the rules for this model's levels.
    rules : path, optional
        A file of selection rules.
    series : str, optional
        Decide as if the series of this UID were asked for.

    Examples
    --------
    >>> [s.reason for s in cspine.list_series("neck-ct")]  # doctest: +SKIP
    """
    levels = load_model(model).levels if model is not None else CERVICAL_LEVELS
    listing = list_input(Path(source), Path(rules) if rules is not None else None, series, levels)
    return [each for study in listing.studies for each in study]


def list_models(folder: str | os.PathLike[str] | None = None) -> list[FoundModel]:
    """List the models that can be used, each with its folder and manifest.

    Parameters
    ----------
    folder : path, optional
        A folder of packages that goes before the user's and the shipped ones.

    Examples
    --------
    >>> [model.name for model in cspine.list_models()]
    ['cervical-demo', 'full-spine-demo']
    """
    first = Path(folder) if folder is not None else container_folder(os.environ)
    return _list_models(search_path(os.environ, home_folder(), first))


def load_model(model: Model | None = None) -> ModelPackage:
    """Load a model package, to use it for several images.

    Parameters
    ----------
    model : str, path or ModelPackage, optional
        Name or folder; the default model if omitted. A loaded package is returned as it is.

    Raises
    ------
    ModelError
        If there is no such model, or it cannot be used.
    """
    if isinstance(model, ModelPackage):
        return model
    return load_package(model_to_run(os.fspath(model) if model is not None else None, os.environ, home_folder()))


def verify_model(
    model: str | os.PathLike[str] | None = None, *, folder: str | os.PathLike[str] | None = None
) -> list[PackageCheck]:
    """Verify a model completely, as ``cspine models verify``: its files, its plans, and every fold of its weights.

    Parameters
    ----------
    model : str or path, optional
        Name or folder; the default model if omitted.
    folder : path, optional
        A folder of packages that goes before the user's and the shipped ones, as in `list_models`.

    Returns
    -------
    list of PackageCheck
        Each has ``ok`` and ``sentence``. Where files are changed or missing, these alone are listed.

    Raises
    ------
    ModelError
        If there is no such model, its manifest or plans cannot be read, or weights do not match the network.

    Examples
    --------
    >>> all(check.ok for check in cspine.verify_model("cervical-demo"))  # doctest: +SKIP
    True
    """
    from cspine.models.verification import verify_package

    first = Path(folder) if folder is not None else None
    wanted = os.fspath(model) if model is not None else None
    return verify_package(model_to_run(wanted, os.environ, home_folder(), first))


def install_model(
    source: str | os.PathLike[str],
    *,
    into: str | os.PathLike[str] | None = None,
    options: InstallOptions | None = None,
) -> ModelPackage:
    """Install a model: an nnU-Net v2 results folder, its exported zip, a MONAI bundle, or a model package.

    Parameters
    ----------
    source : path
        Folder or zip; nothing that it contains is executed.
    into : path, optional
        Folder of packages; the user's if omitted.
    options : InstallOptions, optional
        Name, label map, orientation, folds and statements that the files lack.

    Raises
    ------
    ModelError
        If the source is not a model that cspine runs, or one of its name is installed.
    """
    place = Path(into) if into is not None else user_folder(os.environ, home_folder())
    return _install(Path(source), place, options or InstallOptions())


def _settings(
    settings: RunSettings,
    series: str | None,
    levels: str | Iterable[str] | None,
    network: Mapping[str, Any] | None = None,
) -> RunSettings:
    inference = replace(settings.inference, **(network or {}))
    return replace(
        settings,
        inference=inference,
        series_uid=settings.series_uid if series is None else series,
        levels=settings.levels if levels is None else as_levels(levels),
    )


def _network(device: str | None, precision: Precision | None, engine: EngineName | None) -> dict[str, Any]:
    """Return the options of the network that are given."""
    options = {"device": device, "precision": precision, "engine": engine}
    return {name: value for name, value in options.items() if value is not None}


def _as_path(source: Source) -> Path | None:
    return Path(source) if isinstance(source, str | os.PathLike) else None


def _check_series(kind: SourceKind | None, series_uid: str | None) -> None:
    if kind is not SourceKind.DICOM and series_uid is not None:
        raise UsageError("an image that is not DICOM has no series", advice="Leave the series out.")


def _labels_in_memory(source: object) -> LabelVolume:
    """Return the labels of an object in memory, as `_ct_in_memory`."""
    from cspine.io import label_image

    if isinstance(source, LabelVolume):
        return label_image.checked_labels(source)
    sitk, nibabel = sys.modules.get("SimpleITK"), sys.modules.get("nibabel")
    if sitk is not None and isinstance(source, sitk.Image):
        return label_image.labels_from_sitk(source)
    if nibabel is not None and isinstance(source, nibabel.spatialimages.SpatialImage):
        return label_image.labels_from_nibabel(source)
    raise UsageError(
        f"labels cannot be a {type(source).__name__}",
        advice="Give a path, a LabelVolume with its affine, or an image of SimpleITK or nibabel.",
    )


def _ct_in_memory(source: object) -> CtVolume:
    """Return the volume of an image in memory, if it is a CT.

    The library of an image is loaded already, or it would not be one of its images.
    """
    if isinstance(source, CtVolume):
        from cspine.io.ct_image import checked_ct

        return checked_ct(source)
    sitk, nibabel = sys.modules.get("SimpleITK"), sys.modules.get("nibabel")
    if sitk is not None and isinstance(source, sitk.Image):
        from cspine.io.ct_image import ct_from_sitk

        return ct_from_sitk(source)
    if nibabel is not None and isinstance(source, nibabel.spatialimages.SpatialImage):
        from cspine.io.ct_image import ct_from_nibabel

        return ct_from_nibabel(source)
    raise UsageError(
        f"a {type(source).__name__} is not a CT", advice="Give a path, a CtVolume, or an image of SimpleITK or nibabel."
    )
