"""Texts that fit a Long String, and keep what must not be lost."""

from __future__ import annotations

import pytest

from cspine.core.volumes import ModelIdentity
from cspine.dicom import encapsulated_pdf, encapsulated_stl, key_objects, rtstruct, secondary_capture
from cspine.dicom.descriptions import long_string, series_description, series_title

MODEL = ModelIdentity("neck", "1", "", demonstration=True)
KINDS = (encapsulated_pdf, encapsulated_stl, key_objects, rtstruct, secondary_capture)
TITLES = [module.KIND.title for module in KINDS] + [f"{series_title(('C1', 'T12'))} measurements"]


@pytest.mark.parametrize("title", [*TITLES, 80 * "x"])
@pytest.mark.parametrize("remark", ["", "CHECK"])
def test_the_mark_of_a_demonstration_is_never_cut(title: str, remark: str) -> None:
    text = series_description(title, MODEL, remark)
    assert len(text) <= 64 and text.startswith(remark) and text.endswith(" (cspine) DEMONSTRATION")
    assert not series_description(title, None, remark).endswith("DEMONSTRATION")


@pytest.mark.parametrize("title", TITLES)
def test_titles_are_complete(title: str) -> None:
    assert title in series_description(title, MODEL, "CHECK")


def test_a_text_is_cut_to_64_characters() -> None:
    assert long_string(64 * "x") == 64 * "x"
    assert long_string(65 * "x") == 61 * "x" + "..."
