"""DICOM-SR writer: measures vertebrae, and writes the measurements as a structured report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from cspine.operators.domain import (
    MeasuredVertebrae,
    PredictionImage,
    Provenance,
    SegmentationFile,
    ct_of,
    provenance_of,
    vertebrae_of,
)
from cspine.operators.models import named_model
from cspine.operators.sdk import ConditionType, Fragment, InputContext, OperatorSpec
from cspine.operators.step import IMAGE, MEASUREMENTS, PREDICTION, SEG_FILE, SEG_IMAGE, STUDIES, StepOperator
from cspine.operators.studies import chosen_series
from cspine.pipeline import steps
from cspine.pipeline.outputs import parse_outputs


class DicomSrWriterOperator(StepOperator):
    """Measure vertebrae, and write a Comprehensive 3D SR (TID 1500) that refers to their segments.

    It replaces the SDK's text SR writer where results are numbers: a measurement group per vertebra, per pair of
    neighbours and for the column, with units, uncertainties and tracking UIDs.

    Named inputs:
        seg_image: Image of VerSe numbers, of cspine's postprocessing or any other operator.
        image: Image of the CT, of cspine's reader: it knows the source slices.
        study_selected_series_list: list of StudySelectedSeries.
        seg_file: DataPath, of cspine's DICOM-SEG writer. Optional: without it the report refers to no segments.
        prediction: Image, of cspine's inference. Optional: with it the report names the levels that were not found.

    Named output:
        measurements: DataPath (a `MeasuredVertebrae`) of the report, with the measurements.

    File output:
        dicom/measurements.dcm in the output folder.

    Parameters
    ----------
    fragment : Fragment
        The application.
    *args, **kwargs
        What Holoscan's `Operator` takes: conditions, resources, and ``name``.
    output_folder : Path
        Where ``dicom/`` appears; ``output`` in the working directory by default.
    outputs : str
        As the DICOM-SEG writer takes it; what that one was given, if it is connected.
    model_name, model_version : str
        The model behind labels of another operator than cspine's postprocessing.
    """

    inputs = (SEG_IMAGE, IMAGE, STUDIES)
    output = MEASUREMENTS

    def __init__(
        self,
        fragment: Fragment,
        *args: Any,
        output_folder: Path = Path("output"),
        outputs: str = "",
        model_name: str = "",
        model_version: str = "",
        **kwargs: Any,
    ) -> None:
        self.output_folder = output_folder
        self.outputs = parse_outputs(outputs) if outputs else None
        self.model = named_model(model_name, model_version)
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the ports."""
        for port in (SEG_FILE, PREDICTION):
            spec.input(port).condition(ConditionType.NONE)
        super().setup(spec)

    def work(self, op_input: InputContext) -> MeasuredVertebrae:
        """Measure, and write the report."""
        seg_image, seg_file, prediction = (op_input.receive(port) for port in (SEG_IMAGE, SEG_FILE, PREDICTION))
        ct = ct_of(op_input.receive(IMAGE))
        chosen = chosen_series(op_input.receive(STUDIES))
        before = provenance_of(seg_file if seg_file is not None else seg_image)
        settings = before.settings if self.outputs is None else replace(before.settings, outputs=self.outputs)
        vertebrae, watch = vertebrae_of(seg_image, self.model), before.stopwatch()
        predicted = prediction.inference.levels if isinstance(prediction, PredictionImage) else ()
        segmentation = seg_file.record if isinstance(seg_file, SegmentationFile) else None
        (self.output_folder / "dicom").mkdir(parents=True, exist_ok=True)
        with watch.step("measure"):
            measured = steps.measure(vertebrae, ct, chosen, settings, predicted)
        with watch.step("write SR"):
            study = steps.MeasuredStudy(measured, vertebrae, ct, chosen, segmentation)
            record = steps.write_sr(study, settings, self.output_folder)
        return MeasuredVertebrae(measured, record, self.output_folder, Provenance(settings, watch.seconds))
