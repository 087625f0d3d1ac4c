"""Surface writer: writes the surfaces of vertebrae, and a finite-element model of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from cspine.io.output import ELEMENTS, SURFACES
from cspine.operators.domain import ct_of, provenance_of, vertebrae_of
from cspine.operators.models import named_model
from cspine.operators.sdk import DataPath, Fragment, InputContext
from cspine.operators.step import IMAGE, SEG_IMAGE, SURFACE_FILES, StepOperator
from cspine.pipeline.geometry import write_element_files, write_surface_files
from cspine.pipeline.steps import object_settings
from cspine.surfaces.fe_settings import FeSettings, parse_fe_formats
from cspine.surfaces.settings import DEFAULT_FORMATS, SurfaceSettings, parse_formats


class SurfaceWriterOperator(StepOperator):
    """Write closed surfaces of vertebrae in patient coordinates, and tetrahedra for solvers where they are wanted.

    It is for other applications: in that of cspine the report writer writes what ``outputs`` names.

    Named inputs:
        seg_image: Image of VerSe numbers, of cspine's postprocessing or any other operator.
        image: Image of the CT: Hounsfield units for the materials of elements, and the series that Encapsulated STL
            objects refer to.

    Named output:
        surface_files: DataPath of the folder with the files.

    File output:
        report/surfaces/, report/fe/ and, for the format ``dicom``, dicom/surface-C3.dcm and so on in the output folder.

    Parameters
    ----------
    fragment : Fragment
        The application.
    *args, **kwargs
        What Holoscan's `Operator` takes: conditions, resources, and ``name``.
    output_folder : Path
        Where the files are written.
    surface_format : str
        Some of stl, glb, ply, obj, vtp, dicom.
    fe_format : str
        Some of inp, feb, k, vtu; no elements if empty.
    edge_mm : float
        Length of the edges of elements.
    ras : bool
        RAS instead of LPS coordinates in surface files.
    model_name, model_version : str
        The model behind labels of another operator than cspine's postprocessing.
    """

    inputs = (SEG_IMAGE, IMAGE)
    output = SURFACE_FILES

    def __init__(
        self,
        fragment: Fragment,
        *args: Any,
        output_folder: Path = Path("output"),
        surface_format: str = ",".join(DEFAULT_FORMATS),
        fe_format: str = "",
        edge_mm: float = 1.5,
        ras: bool = False,
        model_name: str = "",
        model_version: str = "",
        **kwargs: Any,
    ) -> None:
        self.output_folder = output_folder
        self.surfaces = SurfaceSettings(parse_formats(surface_format), ras)
        self.elements = FeSettings(parse_fe_formats(fe_format), edge_mm) if fe_format else None
        self.model = named_model(model_name, model_version)
        super().__init__(fragment, *args, **kwargs)

    def work(self, op_input: InputContext) -> DataPath:
        """Write the files."""
        seg_image = op_input.receive(SEG_IMAGE)
        ct = ct_of(op_input.receive(IMAGE))
        vertebrae = vertebrae_of(seg_image, self.model)
        labels = vertebrae.labels
        settings = replace(provenance_of(seg_image).settings, surfaces=self.surfaces)
        report = self.output_folder / "report"
        remark = object_settings(vertebrae, settings).remark
        write_surface_files(ct, labels, settings, report / SURFACES, self.output_folder / "dicom", remark=remark)
        if self.elements is not None:
            write_element_files(ct, labels, self.elements, report / ELEMENTS)
        return DataPath(report)
