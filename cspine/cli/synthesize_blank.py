"""`cspine synthesize --blank-from`: copies of real CTs that are blank below each level, and their table."""

from __future__ import annotations

from pathlib import Path

import click

from cspine.core.errors import InputError, UsageError
from cspine.io.console import progress
from cspine.io.tables import counted


def write_blanked(images: Path, labels: Path, out: Path) -> None:
    """Write OUT/images, OUT/labels and OUT/cases.csv; existing copies are kept.

    Parameters
    ----------
    images : Path
        Folder of CTs (NIfTI).
    labels : Path
        Folder of ``NAME.nii.gz``, VerSe's numbers, as `cspine predict` writes it.
    out : Path
        Folder to write to.

    Raises
    ------
    UsageError
        If the output folder is also an input folder.
    InputError
        If no image has labels of a level from C3 to T1, or image and labels do not fit.
    """
    from cspine.io import nifti
    from cspine.io.tables import write_csv
    from cspine.study.evaluation.blanked import blanked_cases
    from cspine.study.prediction.prediction_cases import cases_of_input

    if out.resolve() in (images.resolve(), labels.resolve()):
        raise UsageError("--out is also an input folder", advice="Give another folder for the copies.")
    cases = [case for case in cases_of_input(images) if case.image is not None]
    rows: list[dict[str, str]] = []
    kept = 0
    with progress("images") as on_progress:
        for done, case in enumerate(cases, 1):
            known = labels / f"{case.name}.nii.gz"
            if case.image is not None and known.is_file():
                for copy in blanked_cases(nifti.read_ct(case.image), nifti.read_labels(known)):
                    row = copy.row(case.name)
                    image, part = (out / kind / f"{row['case']}{end}.nii.gz" for kind, end in _FILES)
                    if image.is_file() and part.is_file():
                        kept += 1
                    else:
                        nifti.write(image, copy.ct.hu_zyx, copy.ct.affine_lps)
                        nifti.write(part, copy.labels.labels_zyx, copy.labels.affine_lps)
                    rows.append(row)
            on_progress(done, len(cases))
    if not rows:
        raise InputError(
            f"no image in {images} has labels of C3 to T1 in {labels}",
            advice="`cspine predict --input IMAGES --out LABELS` writes them.",
        )
    write_csv(out / "cases.csv", tuple(rows[0]), [list(row.values()) for row in rows])
    subjects = len({row["subject"] for row in rows})
    written = f"{counted(len(rows), 'copy', 'copies')} of {counted(subjects, 'image')} in {out}"
    click.echo(written + (f", {kept} of them kept" if kept else ""))


_FILES = (("images", "_0000"), ("labels", ""))
