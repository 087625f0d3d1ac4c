"""What the writers of a single output share: their ports, and one call into the pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from cspine.core.errors import DicomSourceNeededError
from cspine.core.volumes import LabelVolume
from cspine.inference.predict import Inference
from cspine.operators.domain import ct_of, provenance_of, vertebrae_of
from cspine.operators.models import named_model
from cspine.operators.sdk import DataPath, Fragment, InputContext
from cspine.operators.step import IMAGE, OUTPUT_FILE, SEG_IMAGE, STUDIES, StepOperator
from cspine.operators.studies import chosen_series
from cspine.pipeline.outputs import output_named
from cspine.pipeline.steps import Results, material, measure


class OutputWriterOperator(StepOperator):
    """Write one output of a run; subclasses name it in `writes`.

    Parameters
    ----------
    fragment : Fragment
        The application.
    *args, **kwargs
        What Holoscan's `Operator` takes: conditions, resources, and ``name``.
    output_folder : Path
        Where ``dicom/`` and ``report/`` appear.
    model_name, model_version : str
        The model behind labels of another operator than cspine's postprocessing.
    """

    inputs = (SEG_IMAGE, IMAGE, STUDIES)
    output = OUTPUT_FILE
    #: Name of the output, as ``--outputs`` has it.
    writes = ""

    def __init__(
        self,
        fragment: Fragment,
        *args: Any,
        output_folder: Path = Path("output"),
        model_name: str = "",
        model_version: str = "",
        **kwargs: Any,
    ) -> None:
        self.output_folder = output_folder
        self.model = named_model(model_name, model_version)
        super().__init__(fragment, *args, **kwargs)

    def work(self, op_input: InputContext) -> DataPath:
        """Write the output."""
        seg_image = op_input.receive(SEG_IMAGE)
        ct = ct_of(op_input.receive(IMAGE))
        chosen = chosen_series(op_input.receive(STUDIES))
        vertebrae = vertebrae_of(seg_image, self.model)
        output = output_named(self.writes)
        if output.needs_dicom and ct.source is None:
            raise DicomSourceNeededError("the CT does not come from DICOM slices")
        path = self.output_folder / output.file
        path.parent.mkdir(parents=True, exist_ok=True)
        settings = provenance_of(seg_image).settings
        measured = measure(vertebrae, ct, chosen, settings)
        results = Results(chosen, ct, _unknown_inference(vertebrae.labels), vertebrae, measured)
        assert output.write is not None
        output.write(material(results, settings), path)
        return DataPath(path, read_only=True)


def _unknown_inference(labels: LabelVolume) -> Inference:
    """Return an inference of which only the labels are known: the port of the labels does not carry the device."""
    return Inference(labels=labels, auxiliary_zyx=np.zeros((0, 0, 0), bool), record={"device": "unknown"})
