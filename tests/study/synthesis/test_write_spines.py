"""Spines as cases: those of the generator, with the view that was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from cspine.core.errors import AtlasError, UsageError
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.study.synthesis import write_spines
from cspine.study.synthesis.spine import forms
from cspine.study.synthesis.spine.case import SpineSettings
from cspine.study.synthesis.spine.forms import SpineForms
from cspine.study.synthesis.write_spines import Spines
from tests.builders.blank_volumes import blank_volumes


@pytest.mark.parametrize(
    ("view", "expected"),
    [("complete", "complete"), ("random", "random"), ("T11-L5", ("T11", "L5")), ("C3", ("C3", "C3"))],
)
def test_spines_are_generated_with_their_view(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, view: str, expected: str | tuple[str, str]
) -> None:
    solids, asked = SpineForms("solids", {}), []

    def fake(bones: SpineForms, seed: int, settings: SpineSettings) -> tuple[CtVolume, LabelVolume]:
        asked.append((bones, seed, settings))
        return blank_volumes()

    monkeypatch.setattr(forms, "parametric_forms", lambda: solids)
    monkeypatch.setattr(write_spines, "synthesize_spine", fake)
    cases = Spines(view, count=2, seed=4, spacing_mm=(6, 6, 6)).write(tmp_path, lambda *_: None)
    assert [case.name for case in cases] == ["spine_00004", "spine_00005"]
    settings = SpineSettings((6.0, 6.0, 6.0), expected)
    assert asked == [(solids, 4, settings), (solids, 5, settings)]


def test_what_cannot_be_generated_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    for wrong in ({"view": "X1-X4"}, {"view": "trunk"}, {"count": 0}, {"spacing_mm": (3, 3)}):
        with pytest.raises(UsageError):
            Spines(**wrong)  # type: ignore[arg-type]
    with pytest.raises(AtlasError):
        Spines(meshes=tmp_path / "absent").write(tmp_path / "out", lambda *_: None)
    assert not (tmp_path / "out").exists()
