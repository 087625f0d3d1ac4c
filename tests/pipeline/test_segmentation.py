"""From a CT to cleaned vertebrae: the same for one study and for many cases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cspine.core.errors import NoVertebraError
from cspine.core.findings import NO_CERVICAL_VERTEBRA, ROI_DOUBTFUL, STAGES_DISAGREE, UNDER_AGE
from cspine.core.volumes import LabelVolume
from cspine.inference.predict import Inference
from cspine.inference.settings import InferenceSettings
from cspine.pipeline import segmentation
from tests.builders.spine_phantom import MODEL, volumes


def predicted(labels_zyx: np.ndarray | None = None) -> Inference:
    labels, _ = volumes(labels_zyx=labels_zyx)
    return Inference(labels=labels, auxiliary_zyx=np.zeros(labels.labels_zyx.shape, dtype=bool), record={})


def test_labels_are_cleaned_and_the_age_counts() -> None:
    _, ct = volumes()
    vertebrae = segmentation.clean(predicted(), ct, 12.0)
    assert len(np.unique(vertebrae.labels.labels_zyx)) == 9
    assert vertebrae.findings[0].code == UNDER_AGE.code


def test_a_study_of_many_goes_on_where_a_run_ends_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    _, ct = volumes()
    speck = np.zeros(ct.hu_zyx.shape, dtype=np.uint8)
    speck[:2, :2, :2] = 3
    inference = predicted(speck)
    with pytest.raises(NoVertebraError):
        segmentation.clean(inference, ct)
    monkeypatch.setattr(segmentation, "segment", lambda *_, **__: inference)
    _, vertebrae = segmentation.find_vertebrae(ct, None, InferenceSettings())  # type: ignore[arg-type]
    assert isinstance(vertebrae.labels, LabelVolume) and vertebrae.labels.model == MODEL
    assert not vertebrae.labels.labels_zyx.any()
    assert [finding.code for finding in vertebrae.findings] == [NO_CERVICAL_VERTEBRA.code]


@pytest.mark.parametrize(("share", "levels"), [(0.3, []), (0.6, ["C4"])])
def test_stages_that_disagree_about_a_level_are_reported(share: float, levels: list[str]) -> None:
    _, ct = volumes()
    inference = replace(predicted(), changed_share={3: 0.1, 4: share, 19: 1.0})
    found = segmentation.clean(inference, ct, 50.0).findings
    assert [finding.level for finding in found if finding.code == STAGES_DISAGREE.code] == levels


@pytest.mark.parametrize(
    ("roi", "codes"),
    [
        (None, set()),
        ({"box_zyx": [[0, 9], [0, 9], [0, 9]], "levels": ["C1", "C2", "C3", "C4"]}, set()),
        ({"box_zyx": None, "levels": ["C2"]}, {ROI_DOUBTFUL.code}),
    ],
)
def test_a_doubtful_location_is_a_finding(roi, codes):
    inference = Inference(
        labels=LabelVolume(np.zeros((2, 2, 2), dtype=np.uint8), np.eye(4)),
        auxiliary_zyx=np.zeros((2, 2, 2), dtype=bool),
        record={} if roi is None else {"roi": roi},
    )
    assert {finding.code for finding in segmentation._roi_findings(inference)} == codes


def test_the_locator_is_the_shipped_cervical_model():
    package = segmentation.shipped_locator()
    assert package is not None
    assert package.manifest.name == "cervical-demo"
    assert segmentation.shipped_locator() is package
