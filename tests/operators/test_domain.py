"""What goes through the ports: cspine's objects as the SDK's types, and those of other operators as cspine's."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

pytest.importorskip("holoscan")

from cspine.core.errors import CSpineError, ExcessiveTiltError, InputError, NotHounsfieldError, UsageError
from cspine.core.geometry import Grid, make_affine
from cspine.core.volumes import CtSource, CtVolume, LabelVolume, ModelIdentity
from cspine.dicom.clock import Clock
from cspine.operators.domain import (
    CtImage,
    Provenance,
    VertebraImage,
    ct_of,
    prediction_of,
    provenance_of,
    vertebrae_of,
)
from cspine.operators.sdk import Image
from cspine.pipeline.segmentation import Vertebrae
from cspine.pipeline.settings import RunSettings

AFFINE = make_affine(np.eye(3), (0.5, 0.7, 2.0), np.array([-10.0, 20.0, 30.0]))
CT = CtVolume(np.linspace(-1000, 900, 60).astype(np.int16).reshape(3, 4, 5), AFFINE)
MODEL = ModelIdentity("mine", "2", "")
PROVENANCE = Provenance(RunSettings(Clock(datetime(2024, 1, 1, tzinfo=UTC)), repair_gaps=True), {"read": 1.5})


def test_an_image_has_the_affine_of_the_sdk_and_goes_back_as_it_was() -> None:
    image = CtImage(CT, PROVENANCE)
    assert (
        np.allclose(image.metadata()["affine"] @ (1, 1, 1, 1), (9.5, -20.7, 32.0, 1))
        and image.metadata()["space"] == "RAS"
    )
    assert ct_of(image) is CT and provenance_of(image) is PROVENANCE


@pytest.mark.parametrize("space", ["RAS", "LPS"])
def test_an_image_of_another_operator_is_located_by_its_metadata(space: str) -> None:
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ AFFINE if space == "RAS" else AFFINE
    ct = ct_of(Image(CT.hu_zyx.astype(np.int64), {"affine": affine, "space": space}))
    assert np.allclose(ct.affine_lps, AFFINE) and ct.hu_zyx.dtype == np.int16
    assert ct_of(Image(CT.hu_zyx.astype(np.float64), {"affine": affine})).hu_zyx.dtype == np.float32
    assert not provenance_of(ct).seconds


@pytest.mark.parametrize(
    "image", [Image(CT.hu_zyx), Image(CT.hu_zyx[0], {"affine": np.eye(4)})], ids=["no affine", "a plane"]
)
def test_an_image_without_a_position_is_refused(image: Image) -> None:
    with pytest.raises(InputError):
        ct_of(image)


def test_integers_that_16_bits_do_not_hold_are_kept() -> None:
    dense = np.where(CT.hu_zyx > 890, 40_000, CT.hu_zyx.astype(np.int32))
    assert ct_of(Image(dense, {"affine": AFFINE, "space": "LPS"})).hu_zyx.max() == 40_000


SHEARED = AFFINE.copy()
SHEARED[1, 2] = 0.7
SPACING = {"row_pixel_spacing": 0.5, "col_pixel_spacing": 0.7}


@pytest.mark.parametrize(
    ("array", "metadata", "error"),
    [
        (np.full((3, 4, 5), 40), {"affine": AFFINE}, NotHounsfieldError),
        (CT.hu_zyx, {"affine": SHEARED}, ExcessiveTiltError),
        (CT.hu_zyx, {"affine": AFFINE, **SPACING}, InputError),
    ],
    ids=["not HU", "sheared", "row and column spacing swapped"],
)
def test_an_image_that_would_come_out_wrong_is_refused(
    array: np.ndarray, metadata: dict[str, object], error: type[CSpineError]
) -> None:
    with pytest.raises(error):
        ct_of(Image(array, {"space": "LPS", **metadata}))


@pytest.mark.parametrize("number", [257, -1, 50, 1.5])
def test_labels_of_another_operator_that_are_no_vertebra_are_refused(number: float) -> None:
    labels = np.full((3, 4, 5), number)
    for convert in (prediction_of, vertebrae_of):
        with pytest.raises(InputError):
            convert(Image(labels, {"affine": AFFINE, "space": "LPS"}), MODEL)


def test_labels_of_another_operator_need_the_name_of_their_model() -> None:
    labels = Image(np.full((3, 4, 5), 3), {"affine": AFFINE, "space": "LPS"})
    for convert in (prediction_of, vertebrae_of):
        with pytest.raises(UsageError):
            convert(labels, None)
        made = convert(labels, MODEL)
        assert made.labels.model == MODEL and made.labels.labels_zyx.dtype == np.uint8


def test_labels_lie_on_the_slices_as_they_were_stored() -> None:
    sheared = AFFINE.copy()
    sheared[1, 2] = 0.7  # each slice one row further: a tilted gantry
    ct = CtVolume(np.zeros((3, 4, 5), np.int16), AFFINE, CtSource((), Grid((3, 4, 5), sheared)))
    labels = np.zeros((3, 4, 5), np.uint8)
    labels[:, 3, :] = 2
    image = VertebraImage(Vertebrae(LabelVolume(labels, AFFINE), ()), ct, PROVENANCE)
    rows = [sorted({int(row) for row in np.nonzero(plane)[0]}) for plane in image.asnumpy()]
    assert rows == [[3], [2], [1]]
    assert image.vertebrae.labels.labels_zyx is labels
