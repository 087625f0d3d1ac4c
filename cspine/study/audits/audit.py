"""An audit of a model on CTs without labels: each case is segmented as in a run, checked and recorded.

What was done is not done again: a case's record in ``OUT/cases`` carries a key of everything that decides about it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

import cspine
from cspine.core.errors import InputError, hashed
from cspine.core.shape import LevelShape, complete_shapes, shapes_of
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.inference.engines.choose import choose_engine
from cspine.inference.settings import InferenceSettings
from cspine.io import nifti
from cspine.io.files import sha256_of
from cspine.io.output_folder import OutputFolder
from cspine.io.workspace import Records
from cspine.measurements.anchor_shape import anchor_findings
from cspine.models.package import ModelPackage, Stage
from cspine.pipeline import agreement as consistency
from cspine.pipeline.segmentation import find_vertebrae
from cspine.study.attempt import Failure, attempt
from cspine.study.audits import anatomy_checks as anatomy
from cspine.study.audits.anatomy_checks import CORD, ORGAN_POSITIONS, AnatomyCheck, CheckOutcome
from cspine.study.audits.audit_cases import AuditCase, read_organs
from cspine.study.audits.cord_rings import cord_rings
from cspine.study.audits.symmetry import mirror_dices
from cspine.study.cases import labels_name

_log = logging.getLogger(__name__)

#: Raise it with a change of `inference`, `postprocessing` or the checks that may change a result: records of other
#: versions are then not used again.
RESULT_VERSION = 4
#: The checks in the order of the tables.
CHECK_NAMES = ("order", "complete", "volumes", "spacing", "symmetry", "cord_ring", *ORGAN_POSITIONS, "agreement")


@dataclass(frozen=True)
class AuditSettings:
    """The options of an audit.

    Parameters
    ----------
    inference : InferenceSettings
        As of a run.
    agreement : bool
        Segment each image three more times, changed.
    organ_labels : mapping of str to int
        Label of each organ of `audit_cases.ORGANS` in the organ files.
    """

    inference: InferenceSettings = field(default_factory=InferenceSettings)
    agreement: bool = True
    organ_labels: Mapping[str, int] = field(default_factory=lambda: {CORD: 2})


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LevelRecord(_Strict):
    """The measurements of one vertebra; None where it does not apply."""

    level: str
    volume_ml: float
    touches_edge: bool
    to_next_mm: float | None = None
    symmetry_dice: float | None = None
    ring_closed: float | None = None
    cord_in_bone: float | None = None
    agreement_mean: float | None = None
    agreement_min: float | None = None


class CheckRecord(_Strict):
    """A check as it is recorded."""

    name: str
    outcome: CheckOutcome
    value: float | None
    note: str


class AuditRecord(_Strict):
    """The result of an audit for one case; ``error`` where it failed."""

    case: str
    key: str
    model: str
    checksum: str
    seconds: float
    levels: tuple[LevelRecord, ...] = ()
    checks: tuple[CheckRecord, ...] = ()
    findings: tuple[str, ...] = ()
    agreement_min: float | None = None
    error: str = ""

    def outcome(self, name: str) -> CheckOutcome:
        """Return the outcome of a check; a case with an error has none."""
        return next((check.outcome for check in self.checks if check.name == name), CheckOutcome.NOT_APPLICABLE)

    @property
    def failed(self) -> tuple[CheckRecord, ...]:
        """Return the checks that failed."""
        return tuple(check for check in self.checks if check.outcome is CheckOutcome.FAIL)

    @property
    def ordered_and_complete(self) -> bool:
        """Return True where every level in view was predicted, in order."""
        return all(self.outcome(name) is CheckOutcome.PASS for name in ("order", "complete"))

    @property
    def span(self) -> str:
        """Return the first and last predicted level, for example ``"C1-T1"``."""
        if not self.levels:
            return ""
        first, last = self.levels[0].level, self.levels[-1].level
        return first if first == last else f"{first}-{last}"


# --- one case ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AuditFolder:
    """The folder of the results of an audit."""

    root: Path

    def labels(self, case: str) -> Path:
        """Return the vertebrae of a case."""
        return self.root / "labels" / labels_name(case)

    def auxiliary(self, case: str) -> Path:
        """Return the voxels of the network's auxiliary classes: what pseudo-labels are made of."""
        return self.root / "auxiliary" / labels_name(case)

    @property
    def records(self) -> Records[AuditRecord]:
        """Return the records of the cases."""
        return Records(self.root / "cases", AuditRecord.model_validate, lambda record: record.model_dump(mode="json"))

    @property
    def output(self) -> OutputFolder:
        """Return the complete text."""
        return OutputFolder(self.root, "cspine audit", ("labels", "auxiliary", "cases"), ("audit.csv", "levels.csv"))


def key_of(case: AuditCase, package: ModelPackage, settings: AuditSettings) -> str:
    """Return a checksum of all that decides about a case's record: image, organs, model, settings, device, code.

    Raises
    ------
    InputError
        If a file cannot be read.
    DeviceError
        If the device asked for is not there.
    """
    inference = settings.inference
    try:
        parts = {
            "version": [cspine.__version__, RESULT_VERSION],
            "model": package.identity.checksum,
            "image": sha256_of(case.image),
            "organs": sha256_of(case.organs) if case.organs else None,
            "organ_labels": dict(settings.organ_labels) if case.organs else None,
            "agreement": settings.agreement,
            "inference": [inference.folds, inference.mirror, inference.step_size, inference.roi],
            "engine": _engine(inference, package.stages),
        }
    except OSError as error:
        raise InputError(f"cannot read {case.name}: {error.strerror}") from error
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _engine(settings: InferenceSettings, stages: tuple[Stage, ...]) -> tuple[str, str, str]:
    """Return the engine, the kind of device and the number format that "auto" or another word stands for."""
    engine = choose_engine(settings.device, settings.precision, settings.engine, stages)
    return engine.name, engine.device.partition(":")[0], engine.precision


def cached_record(case: AuditCase, key: str, folder: AuditFolder) -> AuditRecord | None:
    """Return the record of an earlier audit that is still valid, or None."""
    if not (folder.labels(case.name).is_file() and folder.auxiliary(case.name).is_file()):
        return None
    record = folder.records.read(case.name)
    return record if record is not None and record.key == key and not record.error else None


def audit_case(
    case: AuditCase, package: ModelPackage, settings: AuditSettings, folder: AuditFolder, *, recompute: bool = False
) -> AuditRecord:
    """Segment, check and record one case, or return its cached record where that is still valid.

    Parameters
    ----------
    case : AuditCase
        The case.
    package : ModelPackage
        The model.
    settings : AuditSettings
        Settings.
    folder : AuditFolder
        Where labels and record go.
    recompute : bool
        True to ignore a cached record.

    Returns
    -------
    AuditRecord
        With ``error`` set where the case's files cannot be used, or the network failed; such a record is not cached.

    Raises
    ------
    CSpineError
        What would stop every case: model, device, output.
    """
    done = attempt(case.name, lambda: _audited(case, package, settings, folder, recompute=recompute))
    if isinstance(done, Failure):
        identity = package.identity
        return AuditRecord(
            case=case.name, key="", model=identity.title, checksum=identity.checksum, seconds=0.0, error=done.text
        )
    return done


def _audited(
    case: AuditCase, package: ModelPackage, settings: AuditSettings, folder: AuditFolder, *, recompute: bool
) -> AuditRecord:
    begun = time.perf_counter()
    key = key_of(case, package, settings)
    cached = None if recompute else cached_record(case, key, folder)
    if cached is not None:
        _log.info("case %s: cached", hashed(case.name))
        return cached
    ct = nifti.read_ct(case.image)
    organs = read_organs(case, ct, settings.organ_labels)
    inference, vertebrae = find_vertebrae(ct, package, settings.inference)
    labels = vertebrae.labels
    shapes = shapes_of(labels.labels_zyx, labels.grid)
    found = _agreement(case, ct, labels, shapes, package, settings) if settings.agreement else None
    levels, checks = _judged(labels, shapes, organs, found)
    record = AuditRecord(
        case=case.name,
        key=key,
        model=package.identity.title,
        checksum=package.identity.checksum,
        seconds=round(time.perf_counter() - begun, 1),
        levels=levels,
        checks=tuple(CheckRecord(name=c.name, outcome=c.outcome, value=c.value, note=c.note) for c in checks),
        findings=tuple(dict.fromkeys(finding.code for finding in vertebrae.findings)),
        agreement_min=float(consistency.all_dices(found).min()) if found else None,
    )
    folder.records.remove(case.name)
    nifti.write(folder.labels(case.name), labels.labels_zyx, labels.affine_lps)
    nifti.write(folder.auxiliary(case.name), inference.auxiliary_zyx.astype(np.uint8), labels.affine_lps)
    folder.records.write(case.name, record)
    return record


def _agreement(
    case: AuditCase,
    ct: CtVolume,
    labels: LabelVolume,
    shapes: tuple[LevelShape, ...],
    package: ModelPackage,
    settings: AuditSettings,
) -> dict[str, dict[str, float]]:
    judged = complete_shapes(shapes)
    if not judged:
        return {}
    return consistency.model_agreement(ct, labels, judged, consistency.Rerun(package, settings.inference, case.name))


def _judged(
    labels: LabelVolume,
    shapes: tuple[LevelShape, ...],
    organs: Mapping[str, NDArray[np.bool_]],
    found: dict[str, dict[str, float]] | None,
) -> tuple[tuple[LevelRecord, ...], list[AnatomyCheck]]:
    distances, dices = anatomy.distances_mm(shapes), mirror_dices(labels, shapes)
    cord = organs.get(CORD)
    rings = None if cord is None or not cord.any() else cord_rings(labels, cord, shapes)
    checks = [
        anatomy.check_order(shapes, anchor_findings(labels, shapes)),
        anatomy.check_complete(shapes, labels.grid),
        anatomy.check_volumes(shapes),
        anatomy.check_spacing(shapes),
        anatomy.check_symmetry(dices),
        anatomy.check_cord_ring(rings),
        *(anatomy.check_organ(name, organs.get(name), labels, shapes) for name in ORGAN_POSITIONS),
        check_agreement(found),
    ]
    levels = []
    for shape in shapes:
        name = shape.vertebra.name
        ring = (rings or {}).get(name)
        again = [values[name] for values in (found or {}).values() if name in values]
        levels.append(
            LevelRecord(
                level=name,
                volume_ml=shape.volume_mm3 / 1000,
                touches_edge=shape.touches_edge,
                to_next_mm=distances.get(name),
                symmetry_dice=dices.get(name),
                ring_closed=ring.closed if ring else None,
                cord_in_bone=ring.overlap if ring else None,
                agreement_mean=float(np.mean(again)) if again else None,
                agreement_min=min(again) if again else None,
            )
        )
    return tuple(levels), checks


def check_agreement(found: Mapping[str, Mapping[str, float]] | None) -> AnatomyCheck:
    """Check that a changed image gives the same vertebrae; the value is the mean Dice.

    Parameters
    ----------
    found : mapping or None
        From `agreement.agreement`; None where it was not measured.
    """
    if not found:
        return AnatomyCheck(
            "agreement", CheckOutcome.NOT_APPLICABLE, None, "not measured" if found is None else "no complete vertebra"
        )
    dices = consistency.all_dices(found)
    mean = float(dices.mean())
    means = ", ".join(f"{name} {np.mean(list(levels.values())):.2f}" for name, levels in found.items())
    outcome = CheckOutcome.PASS if mean >= consistency.MIN_AGREEMENT else CheckOutcome.FAIL
    return AnatomyCheck("agreement", outcome, mean, f"{means}, lowest {dices.min():.2f}")
