"""Forms from meshes: a folder of small boxes instead of an atlas, and what is wrong with folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cspine.core.anatomy import Vertebra, levels_between, vertebra
from cspine.core.errors import AtlasError
from cspine.study.synthesis.spine import mesh_forms as module
from cspine.study.synthesis.spine.forms import SpineForms
from cspine.study.synthesis.spine.mesh_forms import mesh_forms, meshes_checksum
from tests.builders.raises import raises_code

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh")
_QUADS = ((1, 2, 4, 3), (5, 7, 8, 6), (1, 5, 6, 2), (3, 4, 8, 7), (1, 3, 7, 5), (2, 6, 8, 4))
STEP, HALF = 16.0, (9.0, 8.0, 5.0)


@pytest.fixture(autouse=True)
def _solids(solid_forms: SpineForms, monkeypatch: pytest.MonkeyPatch) -> None:
    """The solids that fill up are made once."""
    monkeypatch.setattr(module, "parametric_forms", lambda: solid_forms)


def box(centre: tuple[float, float, float], half: tuple[float, float, float]) -> str:
    corners = [
        tuple(m + h * s for m, h, s in zip(centre, half, (sx, sy, sz), strict=True))
        for sz in (-1, 1) for sy in (-1, 1) for sx in (-1, 1)
    ]  # fmt: skip
    lines = [f"v {x} {y} {z}" for x, y, z in corners]
    return "\n".join([*lines, *("f " + " ".join(f"{i}/1/1" for i in quad) for quad in _QUADS), ""])


def bone_name(level: Vertebra) -> str:
    if level.name in ("C1", "C2"):
        return "atlas" if level.name == "C1" else "axis"
    region = {"C": "cervical", "T": "thoracic"}[level.name[0]]
    return f"{_ORDINALS[int(level.name[1:]) - 1]} {region} vertebra"


def write_atlas(folder: Path, last: str = "T2", without: tuple[str, ...] = ()) -> Path:
    """Boxes for C1 down to a level, with a disc below each from C2 on, but the last."""
    folder.mkdir(parents=True)
    rows = ["file,name"]
    levels = levels_between("C1", last)
    for index, level in enumerate(levels):
        entries = [(f"{level.name}.obj", bone_name(level), box((0, 0, -STEP * index), HALF))]
        if level.name not in ("C1", last):
            disc = "axis" if level.name == "C2" else bone_name(level)
            entries.append((f"D{level.name}.obj", f"intervertebral disk of {disc}",
                            box((0, 0, -STEP * (index + 0.5)), (8.0, 7.0, 2.0))))  # fmt: skip
        for file, name, text in entries:
            if name not in without:
                (folder / file).write_text(text)
                rows.append(f"{file},{name.capitalize()}")
    (folder / "INDEX.csv").write_text("\n".join([*rows, ""]))
    return folder


def test_a_closed_mesh_becomes_a_form_of_its_size_in_the_frame_of_its_discs(tmp_path: Path) -> None:
    forms = mesh_forms(write_atlas(tmp_path / "atlas"))
    form = forms.forms[vertebra("C5").label]
    inside = np.argwhere(form.distance_mm > 0)[:, ::-1] + np.array(form.low_xyz)
    assert inside.mean(axis=0) == pytest.approx([0, 0, 0], abs=0.6)
    assert np.ptp(inside, axis=0) + 1 == pytest.approx(2 * np.array(HALF), abs=1.1)
    assert (form.above_mm, form.below_mm) == pytest.approx((STEP / 2, STEP / 2))
    assert "9 vertebrae" in forms.name  # C1..T2, no disc missing


def test_levels_without_a_mesh_are_solids_and_thoracic_ones_the_last_mesh_resized(
    tmp_path: Path, solid_forms: SpineForms
) -> None:
    forms = mesh_forms(write_atlas(tmp_path / "atlas")).forms
    assert forms[vertebra("L3").label] is solid_forms.forms[vertebra("L3").label]
    assert set(forms) == set(solid_forms.forms)
    last, twelfth = (np.count_nonzero(forms[vertebra(name).label].distance_mm > 0) for name in ("T2", "T12"))
    assert twelfth > 1.5 * last


def test_a_folder_around_the_meshes_is_found_and_forms_are_cached(tmp_path: Path) -> None:
    write_atlas(tmp_path / "atlas" / "meshes")
    first = mesh_forms(tmp_path / "atlas", tmp_path / "cache")
    (kept,) = (tmp_path / "cache").iterdir()
    assert meshes_checksum(tmp_path / "atlas")[:16] in kept.name
    again = mesh_forms(tmp_path / "atlas", tmp_path / "cache")
    for label, form in first.forms.items():
        assert np.array_equal(form.distance_mm, again.forms[label].distance_mm)
        assert form.low_xyz == again.forms[label].low_xyz
        assert (form.above_mm, form.below_mm) == (again.forms[label].above_mm, again.forms[label].below_mm)


def test_a_changed_mesh_is_another_atlas(tmp_path: Path) -> None:
    folder = write_atlas(tmp_path / "atlas")
    before = meshes_checksum(folder)
    (folder / "C5.obj").write_text(box((0, 0, -64), (8, 8, 5)))
    assert meshes_checksum(folder) != before


def test_a_folder_without_an_index_is_refused(tmp_path: Path) -> None:
    with raises_code(AtlasError, "INDEX.csv", tmp_path):
        mesh_forms(tmp_path)
    (tmp_path / "INDEX.csv").write_text("mesh,title\na.obj,atlas\n")
    with raises_code(AtlasError, "INDEX.csv", "file", "name"):
        mesh_forms(tmp_path)


def test_an_atlas_without_a_cervical_vertebra_is_refused_with_its_name(tmp_path: Path) -> None:
    folder = write_atlas(tmp_path / "atlas", without=("seventh cervical vertebra",))
    with raises_code(AtlasError, "seventh cervical vertebra"):
        mesh_forms(folder)


@pytest.mark.parametrize(
    "text", ["", "v 1 2\nf 1 2 3\n", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n", "v a b c\nf 1 1 1\n", "Sölid\n"]
)
def test_a_damaged_mesh_is_refused_with_the_name_of_its_file(tmp_path: Path, text: str) -> None:
    folder = write_atlas(tmp_path / "atlas")
    (folder / "C4.obj").write_text(text, encoding="utf-8")
    with raises_code(AtlasError, "C4.obj"):
        mesh_forms(folder, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
    (folder / "C4.obj").unlink()
    with raises_code(AtlasError, "C4.obj"):
        mesh_forms(folder)


def test_a_mesh_that_encloses_nothing_is_refused(tmp_path: Path) -> None:
    folder = write_atlas(tmp_path / "atlas")
    (folder / "C4.obj").write_text("v 0 0 -48\nv 9 0 -48\nv 0 0 -40\nf 1 2 3\n")
    with raises_code(AtlasError, "C4"):
        mesh_forms(folder)
