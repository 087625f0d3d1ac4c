"""The files that an output has written, as rows of the summary."""

from __future__ import annotations

from pathlib import Path

from pydicom import dcmread

from cspine.io.output import SURFACE_OBJECT, SURFACES
from cspine.report.summary import OutputSummary, output_summary


def written_files(path: Path, folder: Path, title: str) -> list[OutputSummary]:
    """Return the row of an output, or of each file in its folder, with the DICOM objects of surfaces.

    Parameters
    ----------
    path : Path
        The file or folder of the output.
    folder : Path
        The output folder that contains it.
    title : str
        What it is.
    """
    if not path.is_dir():
        return [output_summary(path, folder, title)]
    rows = [output_summary(file, folder, title) for file in sorted(path.iterdir())]
    if path.name == SURFACES:
        for file in sorted((folder / "dicom").glob(SURFACE_OBJECT.format(level="*"))):
            uid = str(dcmread(file, specific_tags=["SOPInstanceUID"]).SOPInstanceUID)
            rows.append(output_summary(file, folder, "Encapsulated STL", uid))
    return rows
