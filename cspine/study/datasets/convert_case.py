"""Convert one case of a public data set to files of an nnU-Net raw dataset, with a record of what it was made of."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813

from cspine.core.anatomy import rank, vertebra
from cspine.core.errors import InputError, as_defect
from cspine.core.geometry import orientation_of, reorientation
from cspine.core.shape import shapes_of, vertebrae_only
from cspine.core.volumes import CtVolume
from cspine.io import nifti
from cspine.io.files import remove_file, write_atomic
from cspine.io.workspace import fingerprint
from cspine.study.datasets.case_records import begun_file, records_of
from cspine.study.datasets.case_table import CaseRow
from cspine.study.datasets.corrections import Correction, corrected
from cspine.study.datasets.dataset_folder import DatasetFolder
from cspine.study.datasets.label_audit import Doubt, audit_labels, read_centroids
from cspine.study.datasets.read_case import read_case
from cspine.study.datasets.sources.found import FoundCase
from cspine.study.label_sets import LabelSet, label_set

#: Raised where a converted case would be another than before.
RESULT_VERSION = 4
_HU_LIMITS = (-32768, 32767)


@dataclass(frozen=True)
class Conversion:
    """The task of a conversion.

    Parameters
    ----------
    dataset : DatasetFolder
        Where it goes.
    label_set : str
        ``"cervical"`` or ``"full-spine"``.
    auxiliary : bool
        True to keep the class of what lies below.
    jobs : int
        Processes.
    corrections : mapping of str to Correction, or None
        Levels that a data set names wrongly, by case; None keeps those of an earlier call.
    """

    dataset: DatasetFolder
    label_set: str
    auxiliary: bool
    jobs: int
    corrections: Mapping[str, Correction] | None = None

    @property
    def labels(self) -> LabelSet:
        """Return the classes of the dataset."""
        return label_set(self.label_set, self.auxiliary)


def _fingerprint(case: FoundCase, conversion: Conversion, *, strict: bool = False) -> str:
    """Return the checksum of all that decides about a converted case: files, metadata, label set and code."""
    how = f"{RESULT_VERSION} {conversion.label_set} {conversion.auxiliary} {case.scheme}"
    about = f"{case.source} {case.patient} {case.age_years} {case.sex}"
    if (correction := _correction(case, conversion)) is not None:
        about += f" {sorted(correction.items())}"
    places = [place for place in (case.image, case.labels, case.centroids) if place is not None]
    return fingerprint(places, f"{how}\n{about}", strict=strict)


def _correction(case: FoundCase, conversion: Conversion) -> Correction | None:
    return (conversion.corrections or {}).get(case.name)


def is_done(case: FoundCase, conversion: Conversion) -> bool:
    """Return whether a case is complete and made of the same inputs and settings as now.

    Parameters
    ----------
    case : FoundCase
        The case, as it was found in its data set.
    conversion : Conversion
        The task.
    """
    dataset = conversion.dataset
    content = records_of(dataset).read(case.name) or {}
    if content.get("fingerprint") != _fingerprint(case, conversion):
        return False
    try:
        return not content["row"]["levels"] or dataset.where(case.name) is not None
    except (KeyError, TypeError):
        return False


def convert_case(case: FoundCase, conversion: Conversion) -> tuple[str, str] | None:
    """Convert one case.

    The record of the case is written last: without it the files count for nothing, and are removed.

    Parameters
    ----------
    case : FoundCase
        The case, as it was found in its data set.
    conversion : Conversion
        The task.

    Returns
    -------
    tuple of str, or None
        Code and message of the error if the conversion fails.
    """
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        _convert(case, conversion)
    except Exception as error:
        known = as_defect(error)
        return known.code, known.message
    return None


def _convert(case: FoundCase, conversion: Conversion) -> None:
    dataset, labels = conversion.dataset, conversion.labels
    try:
        files = _fingerprint(case, conversion, strict=True)
    except OSError as error:
        raise InputError(f"its files cannot be read: {error.strerror}") from error
    kind = dataset.where(case.name) or "Tr"
    write_atomic(begun_file(dataset, case.name), Path.touch)
    records_of(dataset).remove(case.name)
    dataset.remove(case.name)
    read = read_case(case)
    if (correction := _correction(case, conversion)) is not None:
        read = replace(read, labels=corrected(read.labels, correction, case.name))
    centroids = read_centroids(case.centroids) if case.centroids is not None else None
    doubts = [*read.doubts, *audit_labels(read.labels, centroids, read.ct)]
    only = vertebrae_only(read.labels.labels_zyx)
    shapes = [s for s in shapes_of(only, read.labels.grid) if s.vertebra in labels.levels]
    if shapes:
        hu = np.clip(np.rint(read.ct.hu_zyx), *_HU_LIMITS).astype(np.int16)
        network_labels = labels.to_network(read.labels.labels_zyx)
        image_path, labels_path = dataset.pair(kind, case.name)
        nifti.write(image_path, hu, read.ct.affine_lps)
        nifti.write(labels_path, network_labels, read.ct.affine_lps)
    z, y, x = read.ct.hu_zyx.shape
    row = CaseRow(
        case=case.name,
        source=case.source,
        patient=case.patient,
        image=case.origin,
        age_years=case.age_years if case.age_years is not None else read.age_years,
        sex=case.sex or read.sex,
        spacing_mm=read.ct.grid.spacing_xyz,
        shape=(x, y, z),
        orientation=orientation_of(read.ct.affine_lps),
        levels=tuple(shape.vertebra.name for shape in shapes),
        partial=tuple(shape.vertebra.name for shape in shapes if shape.touches_edge),
        doubts=tuple(str(doubt) for doubt in doubts if _concerns(doubt, labels)),
    )
    record = {
        "fingerprint": files,
        "voxels": _voxels_checksum(read.ct),
        "row": asdict(row),
        "doubts": [asdict(doubt) for doubt in doubts],
    }
    records_of(dataset).write(case.name, record)
    remove_file(begun_file(dataset, case.name))


def _voxels_checksum(ct: CtVolume) -> str:
    """Return a checksum of the values, the same however the axes lie."""
    values = reorientation(ct.affine_lps, "LPS").apply(ct.hu_zyx)
    return hashlib.sha256(f"{values.shape}".encode() + np.ascontiguousarray(values, dtype=np.float32).data).hexdigest()


def _concerns(doubt: Doubt, labels: LabelSet) -> bool:
    """Return whether a doubt concerns the complete case, a level of the set, or the adjacent level below."""
    last = rank(labels.levels[-1].label)
    return not doubt.level or rank(vertebra(doubt.level).label) <= last + 1
