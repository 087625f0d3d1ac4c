"""Measure labels that exist already: a NIfTI file or a DICOM Segmentation of any system, with their CT."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import cspine
from cspine.core.anatomy import CERVICAL_LEVELS, VERTEBRAE, Vertebra, rank
from cspine.core.errors import NoVertebraError, hashed
from cspine.core.findings import Finding
from cspine.core.geometry import resample_labels
from cspine.core.padding import shapes_in_image
from cspine.core.shape import labels_cut_within
from cspine.core.volumes import CtVolume, LabelVolume, labels_present
from cspine.dicom.archive import open_input
from cspine.dicom.clock import Clock
from cspine.dicom.source_facts import read_source_facts
from cspine.io.output import MEASURED, MEASUREMENTS, REPORT, StudyOutput
from cspine.measurements.anchor_shape import anchor_findings
from cspine.measurements.change import Change, EarlierValues
from cspine.measurements.spine import MeasuredValue, SpineMeasurements
from cspine.measurements.table import MeasurementTable
from cspine.pipeline import steps
from cspine.pipeline.geometry import elements_of, surfaces_of
from cspine.pipeline.labelled import Labelled, choose_series_of, require_same_source
from cspine.pipeline.measuring import measure, prior_of_image
from cspine.pipeline.settings import RunSettings
from cspine.pipeline.source import SourceKind, kind_of_source
from cspine.pipeline.steps.summary import input_summary
from cspine.postprocessing.label_findings import given_label_findings
from cspine.report.measurement_table import write_measurement_table
from cspine.report.structured_report import ReportContent, report_settings, write_structured_report
from cspine.report.summary import (
    LabelsSummary,
    MeasuredLabelsSummary,
    change_summaries,
    finding_summaries,
    measurement_summaries,
    model_summary,
    vertebra_summaries,
    write_summary,
)
from cspine.surfaces.fe_model import FeModel
from cspine.surfaces.fe_settings import FeSettings
from cspine.surfaces.vertebrae import VertebraSurface

if TYPE_CHECKING:
    from cspine.dicom.seg import SegRecord


def measure_file(
    labelled: Labelled, ct: Path, *, series_uid: str | None = None, sex: str = "", prior: Path | None = None
) -> MeasuredLabels:
    """Measure labels in the CT of a file, a folder or an archive.

    Parameters
    ----------
    labelled : Labelled
        As `read_labelled` returns them.
    ct : Path
        A folder or .zip of DICOM, or a NIfTI file.
    series_uid : str, optional
        The series of a folder to take; if omitted, the one that the segmentation names, else that which the rules
        choose.
    sex : str
        ``"M"`` or ``"F"``; that of the header if empty.
    prior : Path, optional
        Output folder or structured report of an earlier result.

    Raises
    ------
    CSpineError
        Its subclasses say what is wrong with the CT or the earlier result.
    """
    if kind_of_source(ct) is SourceKind.NIFTI:
        from cspine.io.ct_image import read_ct_image

        return measure_image(labelled, read_ct_image(ct), sex, prior)
    settings = RunSettings(series_uid=series_uid, prior=prior)
    with ExitStack() as stack:
        scan = steps.read_headers(stack.enter_context(open_input(ct)))
        chosen = choose_series_of(labelled, scan, settings)
        result = MeasuredLabels(labelled, steps.read_ct(chosen, settings), sex, chosen.prior)
        steps.keep_files(result.ct, stack.pop_all())
    return result


def measure_image(labelled: Labelled, ct: CtVolume, sex: str = "", prior: Path | None = None) -> MeasuredLabels:
    """Measure labels in an image in memory; parameters and errors as `measure_file`.

    Parameters
    ----------
    labelled, sex, prior
        As of `measure_file`.
    ct : CtVolume
        The image; if it comes from DICOM, the earlier result must be of its patient.
    """
    return MeasuredLabels(labelled, ct, sex, prior_of_image(prior, ct))


def expected_levels(labels: LabelVolume) -> tuple[Vertebra, ...]:
    """Return the levels that labels are expected to have: C1..T1, or down to the lowest one where that is below T1.

    Parameters
    ----------
    labels : LabelVolume
        Labels with at least one vertebra.

    Returns
    -------
    tuple of Vertebra
        Levels from head to foot.
    """
    lowest = max(rank(label) for label in labels_present(labels.labels_zyx))
    return VERTEBRAE[: max(lowest + 1, len(CERVICAL_LEVELS))]


class MeasuredLabels:
    """The measurements of labels and their CT.

    Parameters
    ----------
    labelled : Labelled
        The labels.
    ct : CtVolume
        The image; labels on another grid are resampled to it.
    sex : str
        ``"M"`` or ``"F"``; if empty, that of the header.
    prior : EarlierValues, optional
        An earlier result to compare with.

    Raises
    ------
    NoVertebraError
        If no label lies on the image.
    OtherImageError
        If a segmentation is of another patient or frame of reference than the image.
    """

    def __init__(self, labelled: Labelled, ct: CtVolume, sex: str = "", prior: EarlierValues | None = None) -> None:
        require_same_source(labelled, ct)
        self.ct = ct
        self._labelled = labelled
        on_ct = resample_labels(labelled.labels.labels_zyx, labelled.labels.grid, ct.grid)
        if not labels_present(on_ct):
            raise NoVertebraError("no label lies on the image")
        # A segmentation object lacks the planes without a label: the grid of its planes may end with the bone.
        given = labelled.labels
        cut = labels_cut_within(given, ct.grid, None if labelled.record is None else ct.hu_zyx)
        drawn_on = given.resampled_from or (None if given.grid.is_close(ct.grid) else given.grid)
        self.labels = LabelVolume(on_ct, ct.affine_lps, given.model, cut | given.cut, drawn_on).read_only()
        facts = read_source_facts(ct.source) if ct.source is not None else None
        if not sex and facts is not None:
            sex = facts.sex
        self._measured = measure(self.labels, ct, sex, expected_levels(self.labels), prior)
        age, has_contrast = (facts.age_years, facts.contrast) if facts is not None else (None, False)
        of_labels = given_label_findings(self.labels, ct, age, bodies_only=labelled.bodies_only)
        shape_of_level = anchor_findings(self.labels, shapes_in_image(self.labels, ct))
        self._findings = (*of_labels, *shape_of_level, *steps.contrast_findings(has_contrast))

    @property
    def spine(self) -> SpineMeasurements:
        """All measurements: ``spine.value("C5", "body_depth_mm")``."""
        return self._measured.spine

    @property
    def values(self) -> tuple[MeasuredValue, ...]:
        """Every value with its uncertainty and what it is compared with."""
        return self.spine.values

    @property
    def changes(self) -> tuple[Change, ...]:
        """Changes since the earlier result."""
        return self._measured.changes

    @property
    def not_found(self) -> tuple[str, ...]:
        """Levels of the neck without a label; with labels below T1, of the spine above the lowest one."""
        return self._measured.not_found

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Statements about the labels and their image, as of a run, and about the shape of bodies."""
        return (*self._findings, *self._measured.findings)

    @property
    def table(self) -> MeasurementTable:
        """The vertebrae as a table, one row each: ``pandas.DataFrame(result.table)``."""
        return MeasurementTable(self.spine.vertebrae)

    def surfaces(self, gap_mm: float = 0.0) -> list[VertebraSurface]:
        """Return the closed surface of each vertebra, millimetres in LPS, from head to foot, as `cspine surfaces` does.

        Parameters
        ----------
        gap_mm : float
            Smallest distance between two vertebrae, 0 to 5 mm; at 0 they may touch.

        Raises
        ------
        UsageError
            If the distance is out of its range.

        Examples
        --------
        >>> [each.surface.volume_mm3 for each in measured.surfaces()]  # doctest: +SKIP
        """
        return surfaces_of(self._labelled.labels, self.ct, gap_mm, ends_with_labels=self._record is not None)

    def finite_elements(self, settings: FeSettings | None = None) -> FeModel:
        """Return tetrahedra of each vertebra with their sets and materials, as `cspine mesh` does.

        Parameters
        ----------
        settings : FeSettings, optional
            Edge length, gaps, discs and so on; the defaults of `cspine mesh` if omitted.

        Raises
        ------
        MeshError
            If no vertebra can be meshed.
        """
        with_ends = self._record is not None
        return elements_of(self._labelled.labels, self.ct, settings or FeSettings(), ends_with_labels=with_ends)

    @property
    def _record(self) -> SegRecord | None:
        """The segmentation object that the labels come from; None for other files."""
        return self._labelled.record

    def save(self, out: str | Path, *, overwrite: bool = False, clock: Clock | None = None) -> tuple[Path, ...]:
        """Write report/measurements.csv, report/measurements.json and, for a DICOM CT, dicom/measurements.dcm.

        Parameters
        ----------
        out : str or Path
            Folder in which ``dicom/`` and ``report/`` appear.
        overwrite : bool
            Replace existing results.
        clock : Clock, optional
            All dates; the present moment, or that of SOURCE_DATE_EPOCH, if omitted.

        Returns
        -------
        tuple of Path
            The files.

        Raises
        ------
        OutputError
            If the folder has results, or cannot be written.
        UsageError
            If the labels, or the earlier result, are among the results that would be replaced.
        """
        clock = clock or Clock.from_environment()
        files = ["report/" + MEASUREMENTS, "report/" + MEASURED]
        prior = self._measured.prior
        inputs = (self._labelled.path, Path(prior.file) if prior is not None and prior.file else None)
        with StudyOutput(Path(out), overwrite=overwrite, inputs=inputs) as output:
            write_measurement_table(self.values, self.changes, output.staging / files[0])
            write_summary(self._summary(clock), output.staging / files[1])
            if self.ct.source is not None:
                files.append("dicom/" + REPORT)
                self._write_report(output.staging / files[-1], clock)
            output.commit()
        return tuple(Path(out) / file for file in files)

    def _summary(self, clock: Clock) -> MeasuredLabelsSummary:
        segments, tracking = (self._record.segments, self._record.tracking) if self._record is not None else ((), {})
        return MeasuredLabelsSummary(
            cspine_version=cspine.__version__,
            clock=clock.iso,
            labels=LabelsSummary(
                segmentation=hashed(self._record.sop_instance_uid) if self._record is not None else None,
                voxels=hashlib.sha256(np.ascontiguousarray(self.labels.labels_zyx).data).hexdigest(),
            ),
            input=input_summary(None, self.ct),
            model=model_summary(self.labels.model) if self.labels.model is not None else None,
            sex=self.spine.sex or None,
            vertebrae=vertebra_summaries(self.spine.vertebrae, segments, tracking),
            measurements=measurement_summaries(self.values),
            levels_not_found=list(self.not_found),
            prior=hashed(self._measured.prior.result) if self._measured.prior is not None else None,
            changes=change_summaries(self.changes),
            findings=finding_summaries(self.findings),
        )

    def _write_report(self, path: Path, clock: Clock) -> None:
        prior = self._measured.prior
        tracking = dict(prior.tracking) if prior is not None else {}
        content = ReportContent(self.spine, self.labels.model, self.not_found, self.changes, tracking)
        parameters = (("labels", "of a segmentation" if self._record is not None else "of a file"),)
        settings = report_settings(content, clock, parameters, steps.remark_of(self.findings))
        write_structured_report(content, self.ct, self._record, settings, path)

    def __repr__(self) -> str:
        return f"<MeasuredLabels of {len(self.spine.vertebrae)} vertebrae, {len(self.values)} values>"
