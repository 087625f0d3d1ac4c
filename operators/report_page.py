"""Report page: writes the result as one HTML file."""

from __future__ import annotations

from cspine.operators.output_writer import OutputWriterOperator


class ReportPageOperator(OutputWriterOperator):
    """Write the report as one self-contained HTML page: findings, slices, 3-D view, measurements, provenance.

    Named inputs:
        seg_image: Image of VerSe numbers, of cspine's postprocessing or any other operator.
        image: Image of the CT, of cspine's reader or any other operator.
        study_selected_series_list: list of StudySelectedSeries.

    Named output:
        output_file: DataPath of what was written.

    File output:
        report/report.html in the output folder.

    Parameters
    ----------
    fragment : Fragment
        The application.
    output_folder : Path
        Where ``report/`` appears; ``output`` in the working directory by default.
    model_name, model_version : str
        The model behind labels of another operator than cspine's postprocessing.
    """

    writes = "report"
