"""PDF writer: writes the report as an Encapsulated PDF object."""

from __future__ import annotations

from cspine.operators.output_writer import OutputWriterOperator


class EncapsulatedPdfWriterOperator(OutputWriterOperator):
    """Write the report as an Encapsulated PDF object of the study.

    Named inputs:
        seg_image: Image of VerSe numbers, of cspine's postprocessing or any other operator.
        image: Image of the CT, of cspine's reader: it knows the source slices.
        study_selected_series_list: list of StudySelectedSeries.

    Named output:
        output_file: DataPath of what was written.

    File output:
        dicom/report.dcm in the output folder.

    Parameters
    ----------
    fragment : Fragment
        The application.
    output_folder : Path
        Where ``dicom/`` appears; ``output`` in the working directory by default.
    model_name, model_version : str
        The model behind labels of another operator than cspine's postprocessing.
    """

    writes = "pdf"
