"""Systems that label vertebral bodies are compared on bodies."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cspine.core.volumes import LabelVolume
from cspine.io import nifti
from cspine.study.evaluation.bodies import bodies_only
from cspine.study.evaluation.pairing import EvaluationCase
from cspine.study.evaluation.read_pair import read_pair
from tests.builders.spine_phantom import Phantom, volumes

_PHANTOM = Phantom(labels=(2, 3, 4, 5, 6))


def front(labels: LabelVolume) -> np.ndarray:
    """The bodies of the phantom: what lies in front of its canal."""
    y = np.arange(labels.labels_zyx.shape[1])[None, :, None]
    wall = round(_PHANTOM.centre_mm(0)[1] + 9)
    return np.where(y <= wall, labels.labels_zyx, 0).astype(np.uint8)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def test_arches_are_left_out_of_the_reference() -> None:
    reference, _ = volumes(_PHANTOM)
    bodies = LabelVolume(front(reference), reference.affine_lps)
    kept, found = bodies_only(reference, bodies)
    for label in (3, 4, 5, 6):
        assert dice(kept.labels_zyx == label, bodies.labels_zyx == label) > 0.93
        assert dice(reference.labels_zyx == label, bodies.labels_zyx == label) < 0.85
    assert not (kept.labels_zyx[reference.labels_zyx == 0]).any()
    levels = np.unique(kept.labels_zyx[kept.labels_zyx > 0])
    assert np.array_equal(found.labels_zyx != 0, np.isin(bodies.labels_zyx, levels))


def test_a_level_without_a_body_counts_in_neither() -> None:
    reference, _ = volumes(Phantom(labels=(1, 2, 3, 4)))
    kept, found = bodies_only(reference, reference)
    assert 1 not in np.unique(kept.labels_zyx)
    assert 1 not in np.unique(found.labels_zyx)


def test_the_scheme_decides(tmp_path: Path) -> None:
    reference, _ = volumes(_PHANTOM)
    for name, labels in (("reference", reference.labels_zyx), ("found", front(reference))):
        nifti.write(tmp_path / f"{name}.nii.gz", labels, reference.affine_lps)
    shares = []
    for scheme in ("verse", "totalsegmentator-pp"):
        case = EvaluationCase(name="a", reference=tmp_path / "reference.nii.gz", prediction_scheme=scheme)
        pair = read_pair(case, tmp_path / "found.nii.gz")
        shares.append(dice(*(volume.labels_zyx == 4 for volume in pair)))
    assert shares[0] < 0.85 and shares[1] > 0.93
