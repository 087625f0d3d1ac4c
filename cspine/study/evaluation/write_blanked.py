"""Copies of real CTs that are blank below each level, written with the table of what is expected of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cspine.core.errors import InputError, UsageError, hashed
from cspine.core.progress import ProgressCallback
from cspine.io import nifti
from cspine.io.output_folder import refuse_overlap
from cspine.io.tables import write_csv
from cspine.pipeline.scheme_files import read_labels, scheme_of_folder
from cspine.study.cases import labels_name
from cspine.study.evaluation.blanked import blanked_cases
from cspine.study.prediction.prediction_cases import cases_of_input
from cspine.study.synthesis.write_cases import Place, WrittenCase, case_in, write_case

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BlankedCopies:
    """Copies of CTs that are blank below each level from C3 to T1 of their labels.

    Parameters
    ----------
    images : path
        Folder of CTs (NIfTI).
    labels : path
        Folder of ``NAME.nii.gz``, as `cspine predict` writes it, or of an nnU-Net dataset; images without labels are
        omitted, which is logged.
    """

    images: Place
    labels: Place

    def write(self, out: Path, progress: ProgressCallback) -> list[WrittenCase]:
        """Write OUT/images, OUT/labels and OUT/cases.csv; existing copies are kept.

        Parameters
        ----------
        out : Path
            Folder of the copies.
        progress : callable
            Called with the number of finished images and of all images.

        Returns
        -------
        list of WrittenCase
            All copies, written now or kept.

        Raises
        ------
        UsageError
            If the output folder, or a folder in it that is written, is also an input folder.
        InputError
            If no image has labels of a level from C3 to T1, or image and labels do not fit.
        LabelSchemeError
            If labels hold numbers that their scheme does not know.
        """
        images, labels = Path(self.images), Path(self.labels)
        if out.resolve() in (images.resolve(), labels.resolve()):
            raise UsageError("`out` is also an input folder", advice="Give another folder for the copies.")
        refuse_overlap((out / "images", out / "labels"), (images, labels), "out")
        scheme = scheme_of_folder(labels, None)
        rows: list[dict[str, str]] = []
        written: list[WrittenCase] = []
        cases = [(case.name, case.image) for case in cases_of_input(images) if case.image is not None]
        _log_unlabelled([name for name, _ in cases if not (labels / labels_name(name)).is_file()], len(cases))
        for done, (name, image) in enumerate(cases, 1):
            known = labels / labels_name(name)
            if known.is_file():
                for copy in blanked_cases(nifti.read_ct(image), read_labels(known, scheme)):
                    row = copy.row(name)
                    kept = case_in(out, row["case"]).is_there()
                    files = case_in(out, row["case"], kept=kept, subject=name)
                    if not kept:
                        write_case(files, copy.ct, copy.labels)
                    rows.append(row)
                    written.append(files)
            progress(done, len(cases))
        if not rows:
            raise InputError(
                f"no image in {images} has labels of C3 to T1 in {labels}",
                advice="`cspine predict --input IMAGES --out LABELS` writes them.",
            )
        write_csv(out / "cases.csv", tuple(rows[0]), [list(row.values()) for row in rows])
        return written


def _log_unlabelled(names: Sequence[str], images: int) -> None:
    if names:
        _log.warning("%d of %d images have no labels: %s", len(names), images, ", ".join(map(hashed, names)))
