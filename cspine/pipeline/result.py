"""What `cspine.segment` returns: the vertebrae of a CT in memory, with methods to write and show them."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from html import escape
from pathlib import Path
from types import MappingProxyType

from cspine.core.anatomy import levels_text, vertebra
from cspine.core.errors import DicomSourceNeededError
from cspine.core.findings import Finding
from cspine.core.volumes import CtVolume, LabelVolume, ModelIdentity
from cspine.dicom.seg_type import SegType, as_seg_type
from cspine.io import nifti
from cspine.io.files import require_ending
from cspine.io.output import StudyOutput
from cspine.measurements.confidence import Confidence
from cspine.measurements.shape_findings import shape_findings
from cspine.measurements.spine import SpineMeasurements, measure_spine
from cspine.measurements.table import MeasurementTable
from cspine.measurements.vertebra import VertebraMeasurement
from cspine.pipeline.geometry import elements_of, surfaces_of
from cspine.pipeline.outputs import check_outputs, chosen_outputs
from cspine.pipeline.settings import RunSettings
from cspine.pipeline.steps import material, sex_of_patient, with_engine
from cspine.pipeline.study import SegmentedStudy, results_of, write_results
from cspine.report.picture import Picture
from cspine.report.preview import preview_png
from cspine.report.summary import Summary
from cspine.surfaces.fe_model import FeModel
from cspine.surfaces.fe_settings import FeSettings
from cspine.surfaces.vertebrae import VertebraSurface


class Segmentation:
    """The vertebrae of a CT.

    Parameters
    ----------
    study : SegmentedStudy
        The result of `pipeline.study`.
    settings : RunSettings
        Settings of the run.
    """

    def __init__(self, study: SegmentedStudy, settings: RunSettings) -> None:
        self._study = study
        self.settings = settings

    @property
    def ct(self) -> CtVolume:
        """The CT, Hounsfield units of shape (z, y, x)."""
        return self._study.ct

    @property
    def labels(self) -> LabelVolume:
        """The labels on the grid of the CT: ``labels.array`` (z, y, x), uint8; ``labels.affine``, LPS, mm."""
        return self._study.vertebrae.labels

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Quality statements, each with code, level, severity and sentence; those about shape need `spine`."""
        return (*self._study.vertebrae.findings, *shape_findings(self.spine, self.labels.grid.spacing_xyz))

    @property
    def confidence(self) -> Mapping[str, Confidence]:
        """The confidence in each vertebra by its level, from head to foot; empty if the model is not calibrated."""
        return MappingProxyType(dict(self._study.vertebrae.confidence))

    @property
    def model(self) -> ModelIdentity:
        """Name, version and checksum of the model."""
        model = self.labels.model
        assert model is not None
        return model

    @property
    def vertebrae(self) -> Mapping[str, VertebraMeasurement]:
        """The measurements of each vertebra by its level, from head to foot."""
        # Not cached: a mapping proxy can be neither pickled nor copied, and a result can.
        return MappingProxyType(_ByLevel({measured.level: measured for measured in self.spine.vertebrae}))

    @cached_property
    def spine(self) -> SpineMeasurements:
        """All measurements: of vertebrae, neighbours and the column, with uncertainty and published values."""
        return measure_spine(self.labels, self.ct, sex_of_patient(self.ct, self._study.chosen))

    @property
    def measurements(self) -> MeasurementTable:
        """The measurements as a table, one row per vertebra: ``pandas.DataFrame(seg.measurements)``."""
        return MeasurementTable(self.vertebrae.values())

    def save(
        self,
        out: str | Path,
        *,
        seg_type: str | SegType | None = None,
        outputs: str | Sequence[str] | None = None,
        overwrite: bool = False,
    ) -> Summary:
        """Write the results into a folder, as `cspine run` does.

        Parameters
        ----------
        out : str or Path
            Folder in which ``dicom/`` and ``report/`` appear.
        seg_type : str or SegType, optional
            ``"binary"`` or ``"labelmap"``; as in `settings` if omitted.
        outputs : str or sequence of str, optional
            Names of `pipeline.outputs`, for example ``["seg", "report"]`` or ``"seg,report"``; the default for the
            source if omitted.
        overwrite : bool
            Replace existing results.

        Returns
        -------
        Summary
            The content of summary.json.

        Raises
        ------
        UsageError
            If the output or type is unknown.
        DicomSourceNeededError
            If a DICOM object is wanted and the CT does not come from DICOM.
        OutputError
            If the folder has results, or cannot be written.
        """
        settings = self.settings
        if seg_type is not None:
            settings = replace(settings, seg_type=as_seg_type(seg_type))
        if outputs is not None:
            settings = replace(settings, outputs=outputs)  # type: ignore[arg-type]
        has_dicom = self.ct.source is not None
        if seg_type is not None and not has_dicom:
            raise DicomSourceNeededError("a type of DICOM Segmentation was given, and the CT does not come from DICOM")
        check_outputs(settings, has_dicom=has_dicom)
        with StudyOutput(Path(out), overwrite=overwrite, inputs=(settings.prior,)) as output:
            return write_results(self._study, settings, output)

    def to_nifti(self, path: str | Path) -> Path:
        """Write the labels, with the numbers of VerSe, as a NIfTI file on the grid of the CT.

        Parameters
        ----------
        path : str or Path
            File to write, ``.nii`` or ``.nii.gz``; an existing one is replaced.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        UsageError
            If the file has another ending.
        OutputError
            If it cannot be written.
        """
        require_ending(path, (".nii", ".nii.gz"))
        nifti.write(Path(path), self.labels.labels_zyx, self.labels.affine_lps)
        return Path(path)

    def to_html(self, path: str | Path) -> Path:
        """Write the report as one self-contained HTML page.

        Parameters
        ----------
        path : str or Path
            File to write; an existing one is replaced.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        UsageError
            If the file has another ending.
        OutputError
            If it cannot be written.
        """
        require_ending(path, (".html", ".htm"))
        return self._write("report", path)

    def to_pdf(self, path: str | Path) -> Path:
        """Write the report as an Encapsulated PDF object of the study.

        Parameters
        ----------
        path : str or Path
            DICOM file to write; an existing one is replaced.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        DicomSourceNeededError
            If the CT does not come from DICOM.
        UsageError
            If the file has another ending than ``.dcm``.
        OutputError
            If the file cannot be written.
        """
        return self._write_object("pdf", path)

    def to_secondary_capture(self, path: str | Path) -> Path:
        """Write the preview as a Secondary Capture, marked as not for diagnosis.

        Parameters
        ----------
        path : str or Path
            DICOM file to write; an existing one is replaced.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        DicomSourceNeededError
            If the CT does not come from DICOM.
        UsageError
            If the file has another ending than ``.dcm``.
        OutputError
            If the file cannot be written.
        """
        return self._write_object("sc", path)

    def to_rtstruct(self, path: str | Path) -> Path:
        """Write the vertebrae as an RT Structure Set.

        Parameters
        ----------
        path : str or Path
            DICOM file to write; an existing one is replaced.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        DicomSourceNeededError
            If the CT does not come from DICOM.
        UsageError
            If the file has another ending than ``.dcm``.
        OutputError
            If the file cannot be written.
        """
        return self._write_object("rtstruct", path)

    def _write_object(self, name: str, path: str | Path) -> Path:
        """Write one DICOM object; its file may have no ending."""
        if Path(path).suffix:
            require_ending(path, (".dcm",))
        return self._write(name, path)

    def _write(self, name: str, path: str | Path) -> Path:
        """Write one output to a path of its own."""
        (output,) = chosen_outputs((name,), has_dicom=self.ct.source is not None)
        assert output.write is not None
        settings = with_engine(self.settings, self._study.inference)
        output.write(material(results_of(self._study, settings), settings), Path(path))
        return Path(path)

    def surfaces(self, gap_mm: float = 0.0) -> list[VertebraSurface]:
        """Return the closed surface of each vertebra, millimetres in LPS, from head to foot.

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
        >>> [each.surface.volume_mm3 for each in seg.surfaces()]  # doctest: +SKIP
        """
        return surfaces_of(self.labels, self.ct, gap_mm)

    def finite_elements(self, settings: FeSettings | None = None) -> FeModel:
        """Return tetrahedra of each vertebra with their sets and materials.

        Parameters
        ----------
        settings : FeSettings, optional
            Edge length, gaps, discs and so on; those of `settings` of the run if omitted.

        Raises
        ------
        MeshError
            If no vertebra can be meshed.
        """
        return elements_of(self.labels, self.ct, settings or self.settings.elements)

    def preview(self) -> Picture:
        """Return sagittal, coronal and axial pictures as one PNG, which a notebook shows."""
        return self._picture

    @cached_property
    def _picture(self) -> Picture:
        return Picture(preview_png(self.ct, self.labels, self.model.title, self.findings))

    @property
    def _levels(self) -> str:
        return levels_text(vertebra(level) for level in self.vertebrae)

    def __repr__(self) -> str:
        return f"<Segmentation of {self._levels} by {self.model.title}, {len(self.findings)} findings>"

    def _repr_png_(self) -> bytes:
        return self.preview().png

    def _repr_html_(self) -> str:
        picture = b64encode(self.preview().png).decode("ascii")
        rows = "".join(f"<li>{escape(f'{f.severity}: {f.code} {f.sentence}')}</li>" for f in self.findings)
        return (
            f'<p>{escape(repr(self)[1:-1])}</p><img src="data:image/png;base64,{picture}" style="max-width: 100%"/>'
            f"<ul>{rows}</ul>"
        )


class _ByLevel(dict[str, VertebraMeasurement]):
    """Measurements by level; a level that was not segmented is a KeyError that lists those that were."""

    def __missing__(self, level: str) -> VertebraMeasurement:
        raise KeyError(f"{level} was not segmented; the levels are {levels_text(vertebra(one) for one in self)}")
