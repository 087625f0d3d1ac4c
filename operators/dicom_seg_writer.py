"""DICOM-SEG writer: writes vertebrae as a DICOM Segmentation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from cspine.core.errors import DicomSourceNeededError
from cspine.dicom.seg_type import SegType, as_seg_type
from cspine.operators.domain import Provenance, SegmentationFile, ct_of, provenance_of, vertebrae_of
from cspine.operators.models import named_model
from cspine.operators.sdk import Fragment, InputContext
from cspine.operators.step import IMAGE, SEG_FILE, SEG_IMAGE, STUDIES, StepOperator
from cspine.operators.studies import chosen_series
from cspine.pipeline import steps
from cspine.pipeline.outputs import parse_outputs
from cspine.surfaces.fe_settings import DEFAULT_FE_FORMATS, FeSettings, parse_fe_formats
from cspine.surfaces.settings import DEFAULT_FORMATS, SurfaceSettings, parse_formats


class DicomSegWriterOperator(StepOperator):
    """Write one segment for each vertebra, bound to the source slices by their positions in the patient.

    It replaces the SDK's DICOM Segmentation writer: segments have SNOMED CT codes and colours of their own, UIDs
    follow from the content, and frames from the geometry instead of the order of a list.

    Named inputs:
        seg_image: Image of VerSe numbers, of cspine's postprocessing or any other operator.
        image: Image of the CT, of cspine's reader: it knows the source slices.
        study_selected_series_list: list of StudySelectedSeries.

    Named output:
        seg_file: DataPath (a `SegmentationFile`) of what was written.

    File output:
        dicom/segmentation.dcm in the output folder.

    Parameters
    ----------
    fragment : Fragment
        The application.
    *args, **kwargs
        What Holoscan's `Operator` takes: conditions, resources, and ``name``.
    output_folder : Path
        Where ``dicom/`` appears; ``output`` in the working directory by default.
    seg_type : str or SegType
        ``binary`` or ``labelmap``: docs/guide/seg-type.md.
    outputs : str
        What is written, as ``cspine run --outputs`` names it, by this operator and the writers after it; by default
        the segmentation, the structured report, the preview, the page and the summary.
    surface_format, fe_format : str
        Formats of surfaces and of finite elements where ``outputs`` names these.
    model_name, model_version : str
        The model behind labels of another operator than cspine's postprocessing.
    """

    inputs = (SEG_IMAGE, IMAGE, STUDIES)
    output = SEG_FILE

    def __init__(
        self,
        fragment: Fragment,
        *args: Any,
        output_folder: Path = Path("output"),
        seg_type: str | SegType = SegType.BINARY,
        outputs: str = "",
        surface_format: str = ",".join(DEFAULT_FORMATS),
        fe_format: str = ",".join(DEFAULT_FE_FORMATS),
        model_name: str = "",
        model_version: str = "",
        **kwargs: Any,
    ) -> None:
        self.output_folder = output_folder
        self.seg_type = as_seg_type(seg_type)
        self.outputs = parse_outputs(outputs) if outputs else None
        self.surfaces = SurfaceSettings(formats=parse_formats(surface_format))
        self.elements = FeSettings(formats=parse_fe_formats(fe_format))
        self.model = named_model(model_name, model_version)
        super().__init__(fragment, *args, **kwargs)

    def work(self, op_input: InputContext) -> SegmentationFile:
        """Write the object."""
        seg_image = op_input.receive(SEG_IMAGE)
        ct = ct_of(op_input.receive(IMAGE))
        chosen = chosen_series(op_input.receive(STUDIES))
        before = provenance_of(seg_image)
        settings = replace(
            before.settings,
            seg_type=self.seg_type,
            outputs=self.outputs,
            surfaces=self.surfaces,
            elements=self.elements,
        )
        watch = before.stopwatch()
        (self.output_folder / "dicom").mkdir(parents=True, exist_ok=True)
        with watch.step("write DICOM"):
            record = steps.write_dicom(vertebrae_of(seg_image, self.model), ct, chosen, settings, self.output_folder)
        if record is None and self.outputs is None:
            raise DicomSourceNeededError("the CT does not come from DICOM slices")
        return SegmentationFile(record, self.output_folder, Provenance(settings, watch.seconds))
