"""What an input holds: every DICOM series with the decision about it, from headers alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cspine.core.anatomy import CERVICAL_LEVELS, Vertebra
from cspine.core.errors import UnknownSeriesError, hashed
from cspine.dicom.archive import open_input
from cspine.dicom.rules import load_rules
from cspine.dicom.scan import Skipped, one_study, scan_folder
from cspine.dicom.select import SeriesDecision, evaluate_series

_DAMAGED = "(damaged)"


@dataclass(frozen=True)
class ListedSeries:
    """A series of an input, and whether a run would take it.

    Parameters
    ----------
    study : str
        Study Instance UID, hashed.
    series_uid : str
        (0020,000E) *Series Instance UID*.
    series_number : int or None
        (0020,0011) *Series Number*.
    modality, image_type, description, kernel, body_part
        As the headers have them, if they are readable.
    slice_thickness_mm, step_mm : float or None
        Stated thickness, and median distance between slices.
    slices : int
        Number of slices.
    coverage_mm : float
        Extent along the normal.
    orientation : str
        ``axial``, ``coronal`` or ``sagittal``.
    contrast : bool
        True if a contrast agent is stated.
    damaged_files : int
        Files of it that cannot be used.
    suitable, chosen : bool
        Whether it meets every rule, and whether a run takes it.
    reason : str
        Why.
    """

    study: str
    series_uid: str
    series_number: int | None
    modality: str
    image_type: tuple[str, ...]
    description: str
    kernel: str
    body_part: str
    slice_thickness_mm: float | None
    step_mm: float | None
    slices: int
    coverage_mm: float
    orientation: str
    contrast: bool
    damaged_files: int
    suitable: bool
    chosen: bool
    reason: str


@dataclass(frozen=True)
class InputListing:
    """All series of an input.

    Parameters
    ----------
    studies : tuple of tuple of ListedSeries
        The series of each study.
    patients : int
        Number of patients.
    series_found : int
        Number of series, those of other studies than the one asked for included.
    skipped : Skipped
        Files that were skipped.
    damaged : int
        Damaged DICOM files.
    """

    studies: tuple[tuple[ListedSeries, ...], ...]
    patients: int
    series_found: int
    skipped: Skipped
    damaged: int


def list_input(
    source: Path,
    rules_file: Path | None = None,
    series_uid: str | None = None,
    levels: Iterable[Vertebra] = CERVICAL_LEVELS,
) -> InputListing:
    """List the series of a folder or zip archive; no pixel is read.

    Parameters
    ----------
    source : Path
        Folder or zip.
    rules_file : Path, optional
        Selection rules; cspine's own if omitted.
    series_uid : str, optional
        Decide as if this series were asked for, and list its study alone.
    levels : iterable of Vertebra
        Levels of the model, which decide between cspine's own rules, as `rules.load_rules` says.

    Raises
    ------
    InputError, NoDicomError, RulesError, UnknownSeriesError
        As `archive.open_input`, `scan.scan_folder` and `rules.load_rules`, or if no series has the UID.
    """
    rules = load_rules(rules_file, levels)
    with open_input(source) as folder:
        scan = scan_folder(folder)
        if series_uid is None:
            decisions = [evaluate_series(study, rules) for study in scan.studies()]
        elif all(series.series_uid != series_uid for series in scan.series):
            raise UnknownSeriesError(
                f"series {hashed(series_uid)} is not among the {len(scan.series)} series of the input"
            )
        else:
            decisions = [evaluate_series(one_study(scan, series_uid), rules, series_uid)]
    return InputListing(
        studies=tuple(tuple(_listed(decision) for decision in study) for study in decisions),
        patients=len({series.patient_key for series in scan.series}),
        series_found=len(scan.series),
        skipped=scan.skipped,
        damaged=len(scan.damaged),
    )


def _listed(decision: SeriesDecision) -> ListedSeries:
    series = decision.series
    return ListedSeries(
        study=hashed(series.study_uid),
        series_uid=_shown(series.series_uid),
        series_number=series.series_number,
        modality=_shown(series.modality),
        image_type=tuple(_shown(value) for value in series.image_type),
        description=_shown(series.description),
        kernel=_shown(series.kernel),
        body_part=_shown(series.body_part),
        slice_thickness_mm=series.slice_thickness_mm,
        step_mm=series.step_mm,
        slices=series.slices,
        coverage_mm=round(series.coverage_mm, 2),
        orientation=series.orientation,
        contrast=series.contrast,
        damaged_files=series.damaged,
        suitable=decision.suitable,
        chosen=decision.chosen,
        reason=decision.reason,
    )


def _shown(text: str) -> str:
    """Return the text of an element; a damaged one, which may contain the elements after it, is not shown."""
    return text if text.isprintable() else _DAMAGED
