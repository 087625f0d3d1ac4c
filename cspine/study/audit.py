"""A model on CTs that nobody has labelled: each case is segmented as a run does it, checked, and kept.

What was done is not done again: a case's record in ``OUT/cases`` carries a key of everything that decides about it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

import cspine
from cspine import images
from cspine.errors import CSpineError, GeometryError, InputError, UsageError
from cspine.geometry import labels_to_grid
from cspine.inference.settings import InferenceSettings
from cspine.models.package import ModelPackage, sha256_of
from cspine.postprocessing.shape import LevelShape, shapes_of
from cspine.report.sheet import SheetRow
from cspine.segmentation import find_vertebrae
from cspine.study import agreement as steadiness
from cspine.study import anatomy_checks as anatomy
from cspine.study.anatomy_checks import CORD, ORGAN_POSITIONS, Check, Verdict
from cspine.study.tables import number, write_csv, write_json
from cspine.volumes import CtVolume, LabelVolume

_log = logging.getLogger(__name__)

ORGANS = (CORD, *ORGAN_POSITIONS)
#: The checks in the order of the tables.
CHECK_NAMES = ("order", "complete", "volumes", "spacing", "symmetry", "cord_ring", *ORGAN_POSITIONS, "agreement")
_IMAGE = re.compile(r"^(?P<name>.+?)(?:_0000|_ct)\.nii\.gz$")
_SUFFIX = ".nii.gz"
_ORGAN_SUFFIX = "_oar.nii.gz"


@dataclass(frozen=True)
class AuditCase:
    """One case: its name, its image and, where there are, its organs."""

    name: str
    image: Path
    organs: Path | None = None


@dataclass(frozen=True)
class AuditSettings:
    """What a user may choose about an audit.

    Parameters
    ----------
    inference : InferenceSettings
        As of a run.
    agreement : bool
        Segment each image three more times, changed.
    organ_labels : mapping of str to int
        Label of each organ of `ORGANS` in the organ files.
    """

    inference: InferenceSettings = field(default_factory=InferenceSettings)
    agreement: bool = True
    organ_labels: Mapping[str, int] = field(default_factory=lambda: {CORD: 2})


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LevelRecord(_Strict):
    """What was measured of one vertebra; None where it does not apply."""

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
    """A check as it is kept."""

    name: str
    verdict: Verdict
    value: float | None
    note: str


class CaseRecord(_Strict):
    """All that an audit says of one case; ``error`` where it could not be done."""

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

    def verdict(self, name: str) -> Verdict:
        """Return the outcome of a check; a case with an error has none."""
        return next((check.verdict for check in self.checks if check.name == name), Verdict.NOT_APPLICABLE)

    @property
    def failed(self) -> tuple[CheckRecord, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.verdict is Verdict.FAIL)

    @property
    def ordered_and_complete(self) -> bool:
        """True where every level in view was found, in order."""
        return all(self.verdict(name) is Verdict.PASS for name in ("order", "complete"))

    @property
    def span(self) -> str:
        """First and last level found, for example ``"C1-T1"``."""
        if not self.levels:
            return ""
        first, last = self.levels[0].level, self.levels[-1].level
        return first if first == last else f"{first}-{last}"


# --- cases ------------------------------------------------------------------------------------------------------------


def find_cases(folder: Path, organs: Path | None = None) -> list[AuditCase]:
    """Return the cases of a folder by name.

    Where files are named ``X_0000.nii.gz`` or ``X_ct.nii.gz``, those are the images; else every ``X.nii.gz`` is.

    Parameters
    ----------
    folder : Path
        Folder of images.
    organs : Path, optional
        Folder with ``X_oar.nii.gz``; cases without one are no error.

    Raises
    ------
    InputError
        If there is no image, a case has two, or no case has organs although a folder was given.
    """
    advice = "Give a folder with X_0000.nii.gz, X_ct.nii.gz or X.nii.gz."
    paths = sorted(folder.glob(f"*{_SUFFIX}"))
    named = [(match["name"], path) for path in paths if (match := _IMAGE.match(path.name))]
    if not named:
        named = [(p.name.removesuffix(_SUFFIX), p) for p in paths if not p.name.endswith(_ORGAN_SUFFIX)]
    if not named:
        raise InputError(f"no CT image *{_SUFFIX} in {folder}", advice=advice)
    names = [name for name, _ in named]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"two images of one case: {', '.join(twice)}", advice=advice)
    if organs is None:
        return [AuditCase(name, path) for name, path in sorted(named)]
    cases = [
        AuditCase(name, path, place if (place := organs / f"{name}{_ORGAN_SUFFIX}").is_file() else None)
        for name, path in sorted(named)
    ]
    if not any(case.organs for case in cases):
        raise InputError(
            f"no case has organs in {organs}", advice=f"Name them as the cases: {names[0]}{_ORGAN_SUFFIX}."
        )
    return cases


def parse_organ_labels(text: str) -> dict[str, int]:
    """Read ``cord=2,larynx=6``.

    Raises
    ------
    UsageError
        If an organ is not known or a label is no whole number from 1 to 255.
    """
    labels = {}
    for part in text.split(","):
        name, _, label = (word.strip() for word in part.partition("="))
        if name not in ORGANS or not label.isdecimal() or not 0 < int(label) < 256:
            raise UsageError(f"organ label {part.strip()!r}: give ORGAN=NUMBER with one of {', '.join(ORGANS)}")
        labels[name] = int(label)
    return labels


def read_organs(case: AuditCase, ct: CtVolume, labels: Mapping[str, int]) -> dict[str, NDArray[np.bool_]]:
    """Read the masks of a case's organs on the image's grid; empty where it has none.

    Raises
    ------
    InputError
        If the file is not a label image.
    """
    if case.organs is None:
        return {}
    drawn = images.read_labels(case.organs)
    on_grid = labels_to_grid(drawn.labels_zyx, drawn.grid, ct.grid)
    return {name: on_grid == label for name, label in labels.items()}


# --- one case ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AuditFolder:
    """Where an audit keeps what it makes."""

    root: Path

    def labels(self, case: str) -> Path:
        """Vertebrae of a case."""
        return self.root / "labels" / f"{case}{_SUFFIX}"

    def auxiliary(self, case: str) -> Path:
        """Voxels of the network's auxiliary classes: what pseudo-labels are made of."""
        return self.root / "auxiliary" / f"{case}{_SUFFIX}"

    def record(self, case: str) -> Path:
        """Record of a case."""
        return self.root / "cases" / f"{case}.json"


def key_of(case: AuditCase, package: ModelPackage, settings: AuditSettings) -> str:
    """Return a checksum of all that decides about a case's record: image, organs, model, settings, version.

    Raises
    ------
    InputError
        If a file cannot be read.
    """
    inference = settings.inference
    try:
        parts = {
            "version": [cspine.__version__, anatomy.CHECKS_VERSION],
            "model": package.identity.checksum,
            "image": sha256_of(case.image),
            "organs": sha256_of(case.organs) if case.organs else None,
            "organ_labels": dict(settings.organ_labels) if case.organs else None,
            "agreement": settings.agreement,
            "inference": [inference.folds, inference.mirror, inference.step_size, inference.precision],
        }
    except OSError as error:
        raise InputError(f"cannot read {case.name}: {error.strerror}") from error
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def kept_record(case: AuditCase, key: str, folder: AuditFolder) -> CaseRecord | None:
    """Return the record of an earlier audit that still holds, or None."""
    if not (folder.labels(case.name).is_file() and folder.auxiliary(case.name).is_file()):
        return None
    try:
        record = CaseRecord.model_validate_json(folder.record(case.name).read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return None
    return record if record.key == key and not record.error else None


def audit_case(
    case: AuditCase, package: ModelPackage, settings: AuditSettings, folder: AuditFolder, *, anew: bool = False
) -> CaseRecord:
    """Segment, check and keep one case, or return its record where that still holds.

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
    anew : bool
        True to do it whatever is there.

    Returns
    -------
    CaseRecord
        With ``error`` set where the case's files cannot be used; such a record is not kept.

    Raises
    ------
    CSpineError
        What would stop every case: model, device, output.
    """
    begun = time.perf_counter()
    identity = package.identity
    try:
        key = key_of(case, package, settings)
        kept = None if anew else kept_record(case, key, folder)
        if kept is not None:
            _log.info("%s: done before", case.name)
            return kept
        ct = images.read_ct(case.image)
        organs = read_organs(case, ct, settings.organ_labels)
    except (InputError, GeometryError) as error:
        _log.warning("%s: %s", case.name, error)
        return _failed(case, package, error)
    inference, vertebrae = find_vertebrae(ct, package, settings.inference)
    labels = vertebrae.labels
    shapes = shapes_of(labels.labels_zyx, labels.grid)
    found = _agreement(case, ct, labels, shapes, package, settings) if settings.agreement else None
    levels, checks = _judged(labels, shapes, organs, found)
    record = CaseRecord(
        case=case.name,
        key=key,
        model=identity.title,
        checksum=identity.checksum,
        seconds=round(time.perf_counter() - begun, 1),
        levels=levels,
        checks=tuple(CheckRecord(name=c.name, verdict=c.verdict, value=c.value, note=c.note) for c in checks),
        findings=tuple(dict.fromkeys(finding.code for finding in vertebrae.findings)),
        agreement_min=float(steadiness.all_dices(found).min()) if found else None,
    )
    folder.record(case.name).unlink(missing_ok=True)
    images.write(folder.labels(case.name), labels.labels_zyx, labels.affine_lps)
    images.write(folder.auxiliary(case.name), inference.auxiliary_zyx.astype(np.uint8), labels.affine_lps)
    write_json(folder.record(case.name), record.model_dump(mode="json"))
    return record


def _failed(case: AuditCase, package: ModelPackage, error: CSpineError) -> CaseRecord:
    identity = package.identity
    return CaseRecord(
        case=case.name, key="", model=identity.title, checksum=identity.checksum, seconds=0.0, error=str(error)
    )


def _agreement(
    case: AuditCase,
    ct: CtVolume,
    labels: LabelVolume,
    shapes: tuple[LevelShape, ...],
    package: ModelPackage,
    settings: AuditSettings,
) -> dict[str, dict[str, float]]:
    judged = anatomy.whole(shapes)
    if not judged:
        return {}
    shift_mm = min(package.stages[-1].plan.spacing_mm) / 2

    def again(changed: CtVolume) -> LabelVolume:
        return find_vertebrae(changed, package, settings.inference)[1].labels

    return steadiness.agreement(labels, judged, again, steadiness.changes(ct, labels, shift_mm, case.name))


def _judged(
    labels: LabelVolume,
    shapes: tuple[LevelShape, ...],
    organs: Mapping[str, NDArray[np.bool_]],
    found: dict[str, dict[str, float]] | None,
) -> tuple[tuple[LevelRecord, ...], list[Check]]:
    distances, dices = anatomy.distances_mm(shapes), anatomy.mirror_dices(labels, shapes)
    cord = organs.get(CORD)
    rings = None if cord is None or not cord.any() else anatomy.cord_rings(labels, cord, shapes)
    checks = [
        anatomy.check_order(shapes),
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


def check_agreement(found: Mapping[str, Mapping[str, float]] | None) -> Check:
    """Check that a changed image gives the same vertebrae; the value is the mean Dice.

    Parameters
    ----------
    found : mapping or None
        From `agreement.agreement`; None where it was not measured.
    """
    if not found:
        return Check(
            "agreement", Verdict.NOT_APPLICABLE, None, "not measured" if found is None else "no whole vertebra"
        )
    dices = steadiness.all_dices(found)
    mean = float(dices.mean())
    means = ", ".join(f"{name} {np.mean(list(levels.values())):.2f}" for name, levels in found.items())
    verdict = Verdict.PASS if mean >= steadiness.LEAST_AGREEMENT else Verdict.FAIL
    return Check("agreement", verdict, mean, f"{means}, lowest {dices.min():.2f}")


# --- all cases --------------------------------------------------------------------------------------------------------


def write_tables(records: Sequence[CaseRecord], folder: Path) -> None:
    """Write audit.csv and levels.csv; OutputError if that fails."""
    columns = ["case", "levels_found", "levels"]
    for name in CHECK_NAMES:
        columns += [name, f"{name}_value"]
    columns += ["agreement_min", "failed", "findings", "error", "model_checksum", "seconds"]
    write_csv(folder / "audit.csv", columns, [_case_row(record) for record in records])
    fields = list(LevelRecord.model_fields)
    rows = [
        [record.case, level.level, number(level.volume_ml, 2), "yes" if level.touches_edge else "no"]
        + [number(getattr(level, name), 3) for name in fields[3:]]
        for record in records
        for level in record.levels
    ]
    write_csv(folder / "levels.csv", ["case", *fields], rows)


def _case_row(record: CaseRecord) -> list[str]:
    by_name = {check.name: check for check in record.checks}
    row = [record.case, record.span, str(len(record.levels))]
    for name in CHECK_NAMES:
        check = by_name.get(name)
        row += [check.verdict.value, number(check.value)] if check else ["", ""]
    notes = "; ".join(f"{check.name}: {check.note}" for check in record.failed)
    return [
        *row, number(record.agreement_min), notes, " ".join(record.findings), record.error, record.checksum,
        number(record.seconds, 1),
    ]  # fmt: skip


def ordered_share(records: Sequence[CaseRecord]) -> float:
    """Return the share of all cases with an ordered, complete column; cases with an error count as without."""
    return sum(record.ordered_and_complete for record in records) / max(len(records), 1)


def counts(records: Sequence[CaseRecord], name: str) -> tuple[int, int, int]:
    """Return how many cases pass a check, fail it, and have no use for it."""
    verdicts = [record.verdict(name) for record in records]
    return verdicts.count(Verdict.PASS), verdicts.count(Verdict.FAIL), verdicts.count(Verdict.NOT_APPLICABLE)


def summary(records: Sequence[CaseRecord], package: ModelPackage, settings: AuditSettings) -> dict[str, Any]:
    """Return what summary.json says of all cases.

    Parameters
    ----------
    records : sequence of CaseRecord
        The cases.
    package : ModelPackage
        The model.
    settings : AuditSettings
        Settings.
    """
    identity = package.identity
    checks = {}
    for name in CHECK_NAMES:
        passed, failed, other = counts(records, name)
        values = [check.value for r in records for check in r.checks if check.name == name and check.value is not None]
        checks[name] = {
            "pass": passed,
            "fail": failed,
            "not_applicable": other,
            "share": passed / (passed + failed) if passed + failed else None,
            "mean_value": float(np.mean(values)) if values else None,
        }
    return {
        "cspine_version": cspine.__version__,
        "model": {
            "name": identity.name,
            "version": identity.version,
            "checksum": identity.checksum,
            "demonstration": identity.demonstration,
        },
        "settings": {"agreement": settings.agreement, "organ_labels": dict(settings.organ_labels)},
        "cases": len(records),
        "errors": {record.case: record.error for record in records if record.error},
        "ordered_and_complete_share": ordered_share(records),
        "passed_everything": sum(not record.failed and not record.error for record in records),
        "checks": checks,
    }


def sheet_rows(
    cases: Sequence[AuditCase], records: Sequence[CaseRecord], settings: AuditSettings, folder: AuditFolder
) -> Iterator[SheetRow]:
    """Yield the rows of the picture sheet, each read when it is asked for.

    Parameters
    ----------
    cases, records : sequence
        The cases with their records.
    settings : AuditSettings
        For the label of the cord.
    folder : AuditFolder
        Where the labels are.
    """
    for case, record in zip(cases, records, strict=True):
        if record.error:
            yield SheetRow(
                case.name, good=False, headline="could not be read", lines=(record.error,), ct=None, labels=None
            )
            continue
        ct, labels = images.read_ct(case.image), images.read_labels(folder.labels(case.name))
        cord = read_organs(case, ct, settings.organ_labels).get(CORD)
        missed = record.failed
        headline = f"{record.span or 'nothing found'}: " + _in_short([check.name for check in missed])
        lines = [f"- {check.name}: {check.note}" for check in missed]
        passed = [check for check in record.checks if check.verdict is Verdict.PASS and check.value is not None]
        lines += [f"{c.name} {c.note or f'{c.value:.2f}'}" for c in passed if c.name not in ("order", "complete")]
        yield SheetRow(case.name, not missed, headline, tuple(lines), ct, labels, outline_zyx=cord)


def _in_short(failed: Sequence[str]) -> str:
    if not failed:
        return "passes"
    return f"fails {', '.join(failed)}" if len(failed) <= 2 else f"fails {len(failed)} checks"
