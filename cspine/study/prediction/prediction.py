"""From images to labels, one case after the other; complete cases are cached, and an unreadable file fails alone."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cspine
from cspine.core.errors import UsageError, hashed
from cspine.core.findings import Finding
from cspine.core.volumes import LabelVolume
from cspine.dicom.rules import Rules
from cspine.inference.predict import segment
from cspine.inference.settings import InferenceSettings
from cspine.io import nifti
from cspine.io.documents import read_csv
from cspine.io.output_folder import PREDICT, OutputFolder
from cspine.io.tables import write_csv
from cspine.models.package import ModelPackage
from cspine.pipeline.segmentation import Vertebrae, find_vertebrae
from cspine.study.attempt import Failure, attempt
from cspine.study.cases import labels_name
from cspine.study.prediction.prediction_cases import PredictionCase
from cspine.study.prediction.records import RECORDS, PredictionRecord, records_in

_log = logging.getLogger(__name__)

TABLE = "predictions.csv"
#: Where each case came from: it has paths of this machine, and stays with whoever may see the images.
SOURCES = "sources.csv"
SOURCE_COLUMNS = ("case", "hashed", "kind", "source")
COLUMNS = ("case", "subset", "folds", "model", "levels", "findings", "seconds", "error")


@dataclass(frozen=True)
class Prediction:
    """A model with its settings.

    Parameters
    ----------
    package : ModelPackage
        The model.
    settings : InferenceSettings
        Device, folds, mirroring, step size, precision.
    raw : bool
        True for what the network predicted, as nnU-Net's predictor gives it; False to clean it as `cspine run` does.
    rules : Rules
        Which series of a DICOM study.
    """

    package: ModelPackage
    settings: InferenceSettings
    raw: bool
    rules: Rules

    def folds_of(self, case: PredictionCase) -> tuple[str, ...]:
        """Return the folds that predict a case."""
        return case.folds or self.settings.folds or self.package.stages[-1].manifest.folds

    def as_record(self) -> dict[str, Any]:
        """Return what decides about the labels: the program, the model and the settings, but for the device."""
        settings = asdict(self.settings)
        del settings["device"]
        rules = hashlib.sha256(self.rules.model_dump_json().encode()).hexdigest()
        model = self.package.identity
        return {
            "cspine": cspine.__version__,
            "model": {
                "name": model.name,
                "version": model.version,
                "checksum": model.checksum,
                "split": self.package.manifest.split,
            },
            "settings": {**settings, "folds": list(settings["folds"]) if settings["folds"] else None, "raw": self.raw},
            "rules": rules,
        }


class PredictionFolder:
    """The folder of predictions: NAME.nii.gz a case, its record in records/, tables, summary.json.

    Parameters
    ----------
    root : Path
        The folder.
    prediction : Prediction
        What it holds the labels of.
    """

    def __init__(self, root: Path, prediction: Prediction) -> None:
        self.root = root
        self._prediction = prediction
        self._told = prediction.as_record()
        self._records = records_in(root)
        self._folder = OutputFolder(root, PREDICT, (), (), self._told)

    def begin(self, cases: Sequence[PredictionCase], inputs: Sequence[Path]) -> None:
        """Check that the folder is free for these predictions, and claim it.

        Raises
        ------
        UsageError
            If it lies in an input or around one, holds files of another origin, or labels of another model.
        OutputError
            If it cannot be written.
        """
        for place in inputs:
            read, written = place.resolve(), self.root.resolve()
            if written.is_relative_to(read) or read.is_relative_to(written):
                raise UsageError(
                    "`out` lies within the input, or around it", advice="Give `out` a folder beside the input."
                )
        files = (TABLE, SOURCES, RECORDS, *(labels_name(case.name) for case in cases))
        folder = replace(self._folder, files=files)
        folder.check(())
        folder.begin()
        self._write_sources(cases)

    def _write_sources(self, cases: Sequence[PredictionCase]) -> None:
        """Write where each case came from, beside the cases of earlier calls that are still there."""
        rows = {row["case"]: [row[column] for column in SOURCE_COLUMNS] for row in _rows(self.root / SOURCES)}
        rows |= {case.name: [case.name, hashed(case.name), *case.origin()] for case in cases}
        write_csv(self.root / SOURCES, SOURCE_COLUMNS, [rows[name] for name in sorted(rows)])

    def labels(self, case: str) -> Path:
        """Return the file of a case's labels."""
        return self.root / labels_name(case)

    def cached_record(self, case: PredictionCase) -> PredictionRecord | None:
        """Return the record of a case whose labels are there, of the same files; None where it is to be done."""
        record = self._records.read(case.name)
        if record is None or record.error or not self.labels(case.name).is_file():
            return None
        fits = record.model == self._told["model"]["checksum"] and record.source == case.fingerprint()
        return record if fits and record.folds == ",".join(self._prediction.folds_of(case)) else None

    def keep(self, record: PredictionRecord) -> None:
        """Write the record of a case; OutputError if that fails."""
        self._records.write(record.case, record)

    def others(self, names: Collection[str]) -> list[str]:
        """Return the cases of earlier calls, by name, whose labels the folder has beside those of some names."""
        return [name for name in self._records.names() if name not in names and self.labels(name).is_file()]

    def finish(self, names: Collection[str], dataset_split: str | None) -> list[PredictionRecord]:
        """Write the table and the summary of the cases of an input; OutputError if that fails.

        Parameters
        ----------
        names : collection of str
            Names of the cases. Those of earlier calls may be images of these under other names.
        dataset_split : str or None
            Checksum of the dataset's split by which folds were chosen.

        Returns
        -------
        list of PredictionRecord
            Of the cases that were predicted, by name.
        """
        found = (self._records.read(name) for name in sorted(names))
        records = [record for record in found if record is not None]
        write_csv(self.root / TABLE, COLUMNS, [record.row() for record in records])
        failed = sum(bool(record.error) for record in records)
        self._folder.finish({"cases": len(records), "failed": failed, "dataset_split": dataset_split})
        return records


def _rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table of sources; none where there is none, or another table."""
    try:
        columns, rows = read_csv(path)
        return rows if columns == SOURCE_COLUMNS else []
    except (FileNotFoundError, ValueError):
        return []


def predict(
    cases: Sequence[PredictionCase],
    prediction: Prediction,
    folder: PredictionFolder,
    on_progress: Callable[[int, int], None],
) -> list[PredictionRecord]:
    """Predict the vertebrae of every case that is not done yet.

    Parameters
    ----------
    cases : sequence of PredictionCase
        The cases.
    prediction : Prediction
        Model and settings.
    folder : PredictionFolder
        Where labels and records go; `begin` was called.
    on_progress : callable
        Called with the number of finished cases and of all cases.

    Returns
    -------
    list of PredictionRecord
        Of these cases, in their order.

    Raises
    ------
    CSpineError
        What would stop every case: model, device, output.
    """
    records = []
    on_progress(0, len(cases))
    for case in cases:
        record = folder.cached_record(case)
        if record is None or record.subset != case.subset:
            record = replace(record, subset=case.subset) if record is not None else _predicted(case, prediction, folder)
            folder.keep(record)
        records.append(record)
        on_progress(len(records), len(cases))
    return records


def _predicted(case: PredictionCase, prediction: Prediction, folder: PredictionFolder) -> PredictionRecord:
    settings = replace(prediction.settings, folds=case.folds or prediction.settings.folds)
    folds, checksum = ",".join(prediction.folds_of(case)), prediction.package.identity.checksum
    record = PredictionRecord(case.name, case.subset, folds, checksum, case.fingerprint())
    begun = time.perf_counter()
    done = attempt(case.name, lambda: _drawn(case, prediction, settings, folder.labels(case.name)))
    if isinstance(done, Failure):
        folder.labels(case.name).unlink(missing_ok=True)  # of an earlier state of the case
        return replace(record, error=done.text)
    labels, findings = done
    rows = tuple((finding.code, finding.level or "", finding.sentence) for finding in findings)
    levels = tuple(level.name for level in labels.levels)
    return replace(record, levels=levels, findings=rows, seconds=round(time.perf_counter() - begun, 2))


def _drawn(
    case: PredictionCase, prediction: Prediction, settings: InferenceSettings, path: Path
) -> tuple[LabelVolume, tuple[Finding, ...]]:
    ct = case.read(prediction.rules)
    if prediction.raw:
        vertebrae = Vertebrae(segment(ct, prediction.package, settings).labels, ())
    else:
        vertebrae = find_vertebrae(ct, prediction.package, settings)[1]
    nifti.write(path, vertebrae.labels.labels_zyx, vertebrae.labels.affine_lps)
    return vertebrae.labels, vertebrae.findings
