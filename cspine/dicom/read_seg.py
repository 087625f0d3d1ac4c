"""Read a DICOM Segmentation of vertebrae (PS3.3 A.51, A.92), written by cspine or by any other system, as labels.

A segment's level follows from its (0062,000F) *Segmented Property Type Code*, or from its (0062,0005) *Segment Label*
where the code names no level of its own.
"""

from __future__ import annotations

from pathlib import Path

import highdicom as hd
import numpy as np
from pydicom.sr.coding import Code

from cspine.core.anatomy import VERTEBRAE, Vertebra, parse_name
from cspine.core.errors import InputError, LabelSchemeError
from cspine.core.geometry import Affine
from cspine.core.volumes import LabelVolume, ModelIdentity
from cspine.dicom.earlier_results import named_model
from cspine.dicom.headers import patient_key
from cspine.dicom.phi_logging import suppress_phi_logging
from cspine.dicom.seg import SegRecord
from cspine.dicom.seg_type import SegType
from cspine.io.files import sha256_of
from cspine.io.foreign import foreign_file

_ADVICE = "Give a DICOM Segmentation whose planes lie on a regular grid."
_FRACTIONAL_ADVICE = (
    "Let its system write a BINARY or LABELMAP segmentation, with a limit for what belongs to a vertebra."
)


def read_segmentation(path: Path) -> LabelVolume:
    """Read the vertebrae of a segmentation object; other structures become background.

    Parameters
    ----------
    path : Path
        A DICOM Segmentation or Label Map Segmentation.

    Returns
    -------
    LabelVolume
        On the planes of the object, from the first that it has to the last: planes without a label may be absent at
        either end. Where segments overlap, the one with the higher number counts.

    Raises
    ------
    InputError
        If the file is no segmentation, stores fractions other than 0 and 1, or its planes do not form a volume.
    LabelSchemeError
        If no segment is a vertebra, or two are the same one.
    """
    with suppress_phi_logging(), foreign_file(lambda kind: InputError(_unreadable(path, kind), advice=_ADVICE)):
        segmentation = hd.seg.segread(path)
        levels = _levels(segmentation, path.name)
        with foreign_file(lambda kind: _no_volume(segmentation, path, kind)):
            volume = segmentation.get_volume(combine_segments=True, relabel=False, skip_overlap_checks=True)
    numbers = np.asarray(volume.array)
    table = np.zeros(int(max(numbers.max(initial=0), *levels)) + 1, dtype=np.uint8)
    for number, level in levels.items():
        table[number] = level.label
    return LabelVolume(table[numbers], _affine(volume.affine))


def read_seg_record(path: Path) -> tuple[SegRecord, ModelIdentity | None]:
    """Return the record of a segmentation object as if it had just been written, and the model that it names.

    Parameters
    ----------
    path : Path
        File of a DICOM Segmentation, by cspine or another system.

    Returns
    -------
    record : SegRecord
        UIDs, segments and tracking UIDs of the object, with the checksum of the file; it has no warnings.
    model : ModelIdentity or None
        The model that the segments name; None if they name none.

    Raises
    ------
    InputError
        If the file is no segmentation.
    """
    with suppress_phi_logging(), foreign_file(lambda kind: InputError(_unreadable(path, kind), advice=_ADVICE)):
        segmentation = hd.seg.segread(path)
        levels = _levels(segmentation, path.name)
        tracking = {
            levels[int(s.SegmentNumber)].name: str(s.TrackingUID)
            for s in segmentation.SegmentSequence
            if int(s.SegmentNumber) in levels and s.get("TrackingUID")
        }
        record = SegRecord(
            path=path,
            sop_instance_uid=str(segmentation.SOPInstanceUID),
            series_instance_uid=str(segmentation.SeriesInstanceUID),
            sop_class_uid=str(segmentation.SOPClassUID),
            seg_type=SegType.LABELMAP if segmentation.SegmentationType == "LABELMAP" else SegType.BINARY,
            segments=tuple((number, level.name) for number, level in levels.items()),
            frames=int(segmentation.NumberOfFrames),
            sha256=sha256_of(path),
            warnings=(),
            supersedes=(),
            tracking=tracking,
            source_series_uid=_source_series_uid(segmentation),
            frame_of_reference=str(segmentation.get("FrameOfReferenceUID") or "").strip(),
            patient_key=patient_key(segmentation),
        )
        return record, _model(segmentation)


def _source_series_uid(segmentation: hd.seg.Segmentation) -> str:
    """Return the Series Instance UID of the images that a segmentation is of; empty where it names none."""
    series = segmentation.get("ReferencedSeriesSequence") or []
    return str(series[0].SeriesInstanceUID) if series else ""


def _model(segmentation: hd.seg.Segmentation) -> ModelIdentity | None:
    """Return the model that the first segment with an algorithm names; None for manual segmentation."""
    for segment in segmentation.SegmentSequence:
        for algorithm in segment.get("SegmentationAlgorithmIdentificationSequence") or []:
            return named_model(str(algorithm.AlgorithmName), str(algorithm.get("AlgorithmVersion") or ""))
    return None


def _no_volume(segmentation: hd.seg.Segmentation, path: Path, kind: str) -> InputError:
    """Return why the frames of a segmentation are no labels: probabilities, or planes without a regular grid."""
    if str(segmentation.SegmentationType) == "FRACTIONAL":
        return InputError(f"{path.name} stores fractions, from which labels do not follow", advice=_FRACTIONAL_ADVICE)
    return InputError(_unreadable(path, kind), advice=_ADVICE)


def _unreadable(path: Path, kind: str) -> str:
    return f"{path.name} cannot be read as a DICOM Segmentation ({kind})"


def _levels(segmentation: hd.seg.Segmentation, name: str) -> dict[int, Vertebra]:
    """Return the level of each segment that is a vertebra."""
    levels: dict[int, Vertebra] = {}
    for segment in segmentation.SegmentSequence:
        level = _level(segment)
        if level is None:
            continue
        if level in levels.values():
            raise LabelSchemeError(f"{name} has two segments of {level.name}")
        levels[int(segment.SegmentNumber)] = level
    if not levels:
        raise LabelSchemeError(
            f"no segment of {name} is a vertebra", advice="Its segments need a code or a label that names a level."
        )
    return levels


def _level(segment: hd.seg.SegmentDescription) -> Vertebra | None:
    coded = segment.segmented_property_type
    code = Code(coded.value, coded.scheme_designator, coded.meaning)
    for level in VERTEBRAE:
        # pydicom compares SNOMED RT codes (SRT), which older writers use, as the SNOMED CT codes that follow them.
        if level.has_own_code and code == Code(level.sct_code, "SCT", level.sct_meaning):
            return level
    return parse_name(str(segment.segment_label)) or parse_name(str(coded.meaning))


def _affine(affine_kji: Affine) -> Affine:
    """Return the affine of index (x, y, z) from highdicom's, which maps index (plane, row, column) to LPS."""
    affine: Affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = np.asarray(affine_kji)[:3, 2::-1], np.asarray(affine_kji)[:3, 3]
    return affine
