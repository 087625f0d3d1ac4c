"""The JSON beside the labels in NIfTI: what each number means, with its colour, and what is known of the result."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cspine
from cspine.core.anatomy import Vertebra, rank, vertebra
from cspine.core.findings import Finding
from cspine.core.volumes import LabelVolume, labels_present
from cspine.io.files import write_atomic


def write_sidecar(labels: LabelVolume, findings: Sequence[Finding], path: Path) -> None:
    """Write the sidecar of a label image.

    Parameters
    ----------
    labels : LabelVolume
        The labels, with their model.
    findings : sequence of Finding
        Quality statements about them.
    path : Path
        File to write; it appears when complete, or not at all.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    text = json.dumps(sidecar(labels, findings), indent=2) + "\n"
    write_atomic(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def sidecar(labels: LabelVolume, findings: Sequence[Finding]) -> dict[str, object]:
    """Return what the sidecar states, as plain values; labels run from head to foot.

    Parameters
    ----------
    labels : LabelVolume
        The labels, with their model if it is known.
    findings : sequence of Finding
        Findings of the result.
    """
    model = labels.model
    present = sorted(labels_present(labels.labels_zyx), key=rank)
    return {
        "labels": [_label(vertebra(number)) for number in present],
        "model": None
        if model is None
        else {
            "name": model.name,
            "version": model.version,
            "checksum": model.checksum,
            "demonstration": model.demonstration,
        },
        "findings": [{"code": f.code, "level": f.level, "severity": f.severity.value} for f in findings],
        "cspine_version": cspine.__version__,
        "notice": "Research use only; not a medical device.",
    }


def _label(level: Vertebra) -> dict[str, object]:
    return {
        "number": level.label,
        "name": level.name,
        "colour": "#{:02x}{:02x}{:02x}".format(*level.rgb),
        "code": {"value": level.sct_code, "scheme": "SCT", "meaning": level.sct_meaning},
    }
