import time

import numpy as np
import pytest

from cspine.core.errors import NoVertebraError
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.postprocessing.clean import column_only, postprocess
from tests.builders.raises import raises_code
from tests.builders.spine_phantom import MODEL, Phantom, draw, volumes


def codes(labels: LabelVolume, ct: CtVolume, age: float | None = 50.0) -> list[tuple[str, str | None]]:
    return [(f.code, f.level) for f in postprocess(labels, ct, age)[1]]


def test_a_clean_result_stays_and_has_no_findings() -> None:
    labels, ct = volumes()
    cleaned, findings = postprocess(labels, ct, 50.0)
    assert np.array_equal(cleaned.labels_zyx, labels.labels_zyx)
    assert cleaned.model == MODEL
    assert findings == ()


def test_the_input_is_not_changed() -> None:
    labels, ct = volumes()
    labels.labels_zyx[0, 0, 0] = 3
    before = labels.labels_zyx.copy()
    postprocess(labels, ct, None)
    assert np.array_equal(labels.labels_zyx, before)


@pytest.mark.parametrize(("age", "reported"), [(None, False), (17.9, True), (18.0, False)])
def test_children_are_reported(age: float | None, reported: bool) -> None:
    assert (("CS-FND-006", None) in codes(*volumes(), age)) is reported


def test_a_vertebra_at_the_edge_of_the_scan_is_cut() -> None:
    complete = draw(Phantom())
    labels, ct = volumes(labels_zyx=np.ascontiguousarray(complete[30:]))
    assert ("CS-FND-001", "T1") in codes(labels, ct)


def test_implausible_volumes_are_reported() -> None:
    labels, ct = volumes(Phantom(spacing_xyz=(1.6, 1.6, 1.6), shape_zyx=(110, 80, 60)))
    large = LabelVolume(labels.labels_zyx, labels.affine_lps * np.array([2, 2, 1, 1]), MODEL)
    found = codes(large, CtVolume(ct.hu_zyx, large.affine_lps))
    assert ("CS-FND-004", "C4") in found


def test_a_very_small_level_is_reported() -> None:
    labels, ct = volumes()
    third = np.argwhere(labels.labels_zyx == 3)
    labels.labels_zyx[tuple(third[third[:, 2] > 38 - 25].T)] = 0
    labels.labels_zyx[tuple(third[400:900].T)] = 3
    assert ("CS-FND-009", "C3") in codes(labels, ct)


def test_a_label_on_soft_tissue_is_reported() -> None:
    labels, ct = volumes()
    ct.hu_zyx[labels.labels_zyx == 5] = 30
    assert codes(labels, ct) == [("CS-FND-013", "C5")]


def test_fragments_are_reported() -> None:
    labels, ct = volumes()
    z, y, _ = np.argwhere(labels.labels_zyx == 3).max(axis=0)
    box = (slice(z - 8, z), slice(y + 3, y + 9), slice(36, 44))
    labels.labels_zyx[box] = 3
    ct.hu_zyx[box] = 300
    assert codes(labels, ct) == [("CS-FND-005", "C3")]


@pytest.mark.parametrize("only", [(), (8,), (8, 9, 10)])
def test_without_a_cervical_vertebra_there_is_no_result(only: tuple[int, ...]) -> None:
    labels, ct = volumes()
    kept = np.where(np.isin(labels.labels_zyx, only), labels.labels_zyx, np.uint8(0))
    with raises_code(NoVertebraError, "CS-FND-014"):
        postprocess(LabelVolume(kept, labels.affine_lps), ct, None)


def test_small_components_alone_are_no_vertebra() -> None:
    labels, ct = volumes()
    specks = np.zeros_like(labels.labels_zyx)
    specks[::20, ::20, ::20] = 4
    with pytest.raises(NoVertebraError):
        postprocess(LabelVolume(specks, labels.affine_lps), ct, None)


def test_a_large_scan_with_noise_takes_a_few_seconds() -> None:
    shape = (300, 512, 512)
    labels_zyx = np.zeros(shape, dtype=np.uint8)
    labels_zyx[65:235, 210:300, 216:296] = draw(Phantom())
    noise = np.random.default_rng(0).integers(0, shape, size=(3000, 3))
    labels_zyx[tuple(noise.T)] = 5
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    ct = CtVolume(np.where(labels_zyx, 300, 40).astype(np.int16), affine)
    start = time.perf_counter()
    cleaned, _ = postprocess(LabelVolume(labels_zyx, affine), ct, None)
    assert time.perf_counter() - start < 20
    assert np.array_equal(cleaned.labels_zyx[65:235, 210:300, 216:296], draw(Phantom()))


def test_what_was_removed_between_stages_is_reported_with_the_rest() -> None:
    labels, ct = volumes()
    _, findings = postprocess(labels, ct, None, {2: 900.0, 5: 100.0})
    reported = [finding for finding in findings if finding.code == "CS-FND-011"]
    assert [finding.level for finding in reported] == ["C2"]
    assert "0.9" in reported[0].sentence


def test_only_what_stands_away_from_the_column_is_removed_between_stages() -> None:
    labels, _ = volumes()
    jumble = labels.labels_zyx.copy()
    jumble[:3, :3, :3] = 4
    kept = column_only(LabelVolume(jumble, labels.affine_lps, labels.model))
    assert np.array_equal(kept.labels_zyx, labels.labels_zyx)
    nothing = LabelVolume(np.zeros_like(jumble), labels.affine_lps, labels.model)
    assert not column_only(nothing).labels_zyx.any()


def test_a_label_in_air_is_removed_and_reported_and_nothing_else_is_an_error() -> None:
    labels, ct = volumes()
    airy = ct.hu_zyx.copy()
    airy[labels.labels_zyx == 3] = -900
    cleaned, findings = postprocess(labels, CtVolume(airy, ct.affine_lps), None)
    assert not (cleaned.labels_zyx == 3).any()
    assert (cleaned.labels_zyx == 4).any()
    assert [f.level for f in findings if f.code == "CS-FND-013"] == ["C3"]
    with pytest.raises(NoVertebraError):
        postprocess(labels, CtVolume(np.full_like(ct.hu_zyx, -700), ct.affine_lps), None)
