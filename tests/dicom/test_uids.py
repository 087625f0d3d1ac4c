from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pydicom.uid import UID

from cspine.dicom.clock import Clock
from cspine.dicom.uids import ObjectIdentity

IDENTITY = ObjectIdentity(
    sources=("1.2.3", "1.2.4"),
    model_checksum="aa",
    version="0.1.0",
    settings=(("seg_type", "binary"), ("folds", "all")),
    clock=Clock(datetime(2024, 1, 1, tzinfo=UTC)),
    content="ff",
)


def test_a_uid_is_valid_and_of_the_uuid_root() -> None:
    uid = UID(IDENTITY.uid("instance"))
    assert uid.is_valid
    assert uid.startswith("2.25.")


def test_the_same_object_has_the_same_uid_whatever_the_order_of_facts() -> None:
    reordered = replace(IDENTITY, sources=("1.2.4", "1.2.3"), settings=IDENTITY.settings[::-1])
    assert reordered.uid("instance") == IDENTITY.uid("instance")


@pytest.mark.parametrize(
    "change",
    [
        {"sources": ("1.2.3",)},
        {"model_checksum": "ab"},
        {"version": "0.1.1"},
        {"settings": (("seg_type", "labelmap"), ("folds", "all"))},
        {"clock": Clock(datetime(2024, 1, 1, 0, 0, 1, tzinfo=UTC))},
        {"content": "fe"},
    ],
)
def test_any_difference_gives_another_uid(change: dict[str, object]) -> None:
    assert replace(IDENTITY, **change).uid("instance") != IDENTITY.uid("instance")


def test_the_parts_of_an_object_have_uids_of_their_own() -> None:
    assert len({IDENTITY.uid(role) for role in ("instance", "series", "dimension organization")}) == 3
