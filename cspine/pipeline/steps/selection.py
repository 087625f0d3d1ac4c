"""The first step: read the headers of an input and choose its series."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from cspine.core.anatomy import CERVICAL_LEVELS, Vertebra
from cspine.core.errors import hashed
from cspine.dicom.patient import patient_sex
from cspine.dicom.rules import Rules, load_rules
from cspine.dicom.scan import Scan, one_study, scan_folder
from cspine.dicom.select import Selection, SeriesDecision, select_series
from cspine.dicom.series import Series
from cspine.measurements.change import EarlierValues
from cspine.pipeline.completeness import StudyContext, inspect_study
from cspine.pipeline.measuring import prior_result
from cspine.pipeline.settings import RunSettings
from cspine.pipeline.subset import check_wanted
from cspine.report.earlier_measurements import find_prior

_log = logging.getLogger(__package__)


@dataclass(frozen=True)
class ChosenSeries:
    """The series to work on, and what else the input held.

    Parameters
    ----------
    scan : Scan
        The study.
    selection : Selection
        The series with the decisions on all.
    context : StudyContext
        Earlier results of the series, and signs that it is incomplete.
    prior : EarlierValues or None
        Measurements of an earlier result: the one that was named, or the newest in the study.
    """

    scan: Scan
    selection: Selection
    context: StudyContext
    prior: EarlierValues | None = None

    @property
    def sex(self) -> str:
        """Sex of the patient, ``"M"`` or ``"F"``; empty if unknown."""
        return patient_sex(self.selection.chosen.instances[0].path)


def read_headers(folder: Path) -> Scan:
    """Scan a folder of DICOM files: headers only.

    Parameters
    ----------
    folder : Path
        The folder, as `dicom.archive.open_input` yields it for a folder or a .zip.

    Raises
    ------
    CSpineError
        As in `dicom.scan.scan_folder`.
    """
    return scan_folder(folder)


def choose_series(scan: Scan, settings: RunSettings, levels: Collection[Vertebra] = CERVICAL_LEVELS) -> ChosenSeries:
    """Choose the series of the one study in a scan that suits a model of these levels, or labels that have them.

    Parameters
    ----------
    scan : Scan
        From `read_headers`.
    settings : RunSettings
        Rules, series, wanted levels, earlier result.
    levels : collection of Vertebra
        Levels of the model or of the labels.

    Raises
    ------
    UsageError
        If none of them is a wanted level.
    PriorResultError
        If the earlier result that is named cannot be compared with.
    SeveralPatientsError, NoSuitableSeriesError, UnknownSeriesError, RulesError
        As in `scan.one_study`, `select.select_series` and `rules.load_rules`.
    """
    check_wanted(settings.levels, levels)
    rules: Rules = load_rules(settings.rules_file, levels)
    study = one_study(scan, settings.series_uid)
    selection = select_series(study, rules, settings.series_uid)
    for decision in selection.decisions:
        _log.info("series %s: %s", hashed(decision.series.series_uid), decision.reason)
    chosen = selection.chosen
    images = [instance.sop_instance_uid for instance in chosen.instances]
    prior = prior_result(settings.prior, study, chosen.patient_key, chosen.instances[0].study_date, images)
    return ChosenSeries(study, selection, inspect_study(study, selection.chosen), prior)


def series_of_caller(scan: Scan, series: Series) -> ChosenSeries:
    """Return a series of a study that the caller has selected, without cspine's rules.

    Parameters
    ----------
    scan : Scan
        One study.
    series : Series
        The series to segment.
    """
    decisions = tuple(
        SeriesDecision(
            each, each is series, each is series, f"{'' if each is series else 'not '}selected by the caller"
        )
        for each in scan.series
    )
    prior = find_prior(scan, [instance.sop_instance_uid for instance in series.instances])
    return ChosenSeries(scan, Selection(series, decisions), inspect_study(scan, series), prior)
