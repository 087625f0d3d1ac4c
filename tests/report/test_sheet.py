"""Picture sheets: every case has its row, its planes and its words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cspine.core.anatomy import vertebra
from cspine.core.errors import OutputError
from cspine.core.geometry import reorientation
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.report.sheet import ROWS_A_SHEET, write_sheets
from cspine.report.sheet_rows import COLUMN_PIXELS, ROW_PIXELS, SheetRow, below_neck
from tests.builders.raises import raises_code
from tests.builders.spine_phantom import Phantom, volumes


def row(phantom: Phantom | None = None, **changes: object) -> SheetRow:
    labels, ct = volumes(phantom)
    return replace(SheetRow("case", True, "passes", ("a word",), ct, labels), **changes)  # type: ignore[arg-type]


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), dtype=np.int16)


def near(image: np.ndarray, rgb: tuple[int, int, int]) -> np.ndarray:
    return np.abs(image - np.array(rgb)).max(axis=-1) <= 3


def test_every_level_has_its_colour_and_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert write_sheets([row()], 1, "t", tmp_path / name) == [tmp_path / name / "sheet.png"]
    image = pixels(tmp_path / "a" / "sheet.png")
    for label in range(1, 9):
        assert near(image, vertebra(label).rgb).sum() > 50, label
    assert (tmp_path / "a" / "sheet.png").read_bytes() == (tmp_path / "b" / "sheet.png").read_bytes()


def test_many_cases_go_on_several_sheets_and_old_ones_go(tmp_path: Path) -> None:
    count = ROWS_A_SHEET + 1
    empty = SheetRow("case", False, "could not be read", ("why",), None, None)
    found = write_sheets((empty for _ in range(count)), count, "t", tmp_path)
    assert [path.name for path in found] == ["sheet-1.png", "sheet-2.png"]
    assert pixels(found[0]).shape[0] > ROWS_A_SHEET * ROW_PIXELS > pixels(found[1]).shape[0]
    write_sheets([row()], 1, "t", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]


@pytest.mark.parametrize("target", ["RAS", "PSL"])
def test_the_orientation_of_the_array_changes_nothing(tmp_path: Path, target: str) -> None:
    labels, ct = volumes()
    cord = np.zeros(labels.labels_zyx.shape, dtype=bool)
    cord[:, 50:54, 38:42] = True
    change = reorientation(ct.affine_lps, target)
    affine = change.grid(ct.grid).affine_lps
    reoriented = LabelVolume(change.apply(labels.labels_zyx), affine)
    other = row(ct=CtVolume(change.apply(ct.hu_zyx), affine), labels=reoriented, outline_zyx=change.apply(cord))
    first = write_sheets([row(outline_zyx=cord)], 1, "t", tmp_path / "a")[0]
    second = write_sheets([other], 1, "t", tmp_path / "b")[0]
    assert np.array_equal(pixels(first), pixels(second))
    assert near(pixels(first), (0, 255, 255)).sum() > 50


def test_the_front_is_on_the_left_and_the_head_above(tmp_path: Path) -> None:
    _, ct = volumes()
    image = pixels(write_sheets([row()], 1, "t", tmp_path)[0])
    sagittal = image[:, 300:510]
    heights = [np.argwhere(near(sagittal, vertebra(label).rgb))[:, 0].mean() for label in range(1, 9)]
    assert heights == sorted(heights)
    marked = ct.hu_zyx.copy()
    marked[:, :8, :] = 2000  # what lies in front of the neck
    front = pixels(write_sheets([row(ct=CtVolume(marked, ct.affine_lps))], 1, "t", tmp_path)[0])[:, 516:726]
    assert np.argwhere(near(front, (255, 255, 255)))[:, 1].mean() < 60


def test_proportions_are_true(tmp_path: Path) -> None:
    sizes = []
    for name, phantom in (("fine", Phantom()), ("coarse", Phantom(shape_zyx=(57, 90, 80), spacing_xyz=(1, 1, 3)))):
        image = pixels(write_sheets([row(phantom)], 1, "t", tmp_path / name)[0])[:, 300:510]
        height, width = np.ptp(np.argwhere(near(image, vertebra(4).rgb)), axis=0)
        sizes.append(height / width)
    assert sizes[1] == pytest.approx(sizes[0], rel=0.25)


SPINE = Phantom(tuple(range(1, 25)), (230, 45, 40), (2, 2, 2))


def test_a_complete_column_has_a_higher_row_and_three_axial_planes(tmp_path: Path) -> None:
    rows = [row(SPINE, full_column=True), row(full_column=True), row(SPINE)]
    image = pixels(write_sheets(rows, 3, "t", tmp_path)[0])
    column, neck = image[60:, 300:510], pixels(write_sheets([row()], 1, "t", tmp_path / "n")[0])[60:, 300:510]
    heights = [np.argwhere(near(column[:COLUMN_PIXELS], vertebra(i).rgb)).shape[0] for i in range(1, 25)]
    assert min(heights) > 50
    assert image.shape[0] > COLUMN_PIXELS + 2 * ROW_PIXELS
    axial = image[66 : 66 + COLUMN_PIXELS, -300:-6]
    for third, level in zip(np.array_split(axial, 3), ("C4", "T6", "L3"), strict=True):
        assert near(third, vertebra(level).rgb).sum() > 50
    assert np.array_equal(image[-ROW_PIXELS - 6 :, 300:510].shape, neck[-ROW_PIXELS - 6 :].shape)
    assert near(image[-ROW_PIXELS - 6 :, -300:], vertebra("L3").rgb).sum() == 0


def test_a_column_goes_below_the_neck_from_t2_on() -> None:
    assert below_neck(["C1", "T2"]) and not below_neck(["C7", "T1"]) and not below_neck([])


def test_found_and_reference_stand_side_by_side(tmp_path: Path) -> None:
    labels, _ = volumes()
    wrong = LabelVolume(np.where(labels.labels_zyx == 3, np.uint8(9), labels.labels_zyx), labels.affine_lps)
    image = pixels(write_sheets([row(labels=wrong, reference=labels, ct=None)], 1, "t", tmp_path)[0])
    assert near(image[:, 516:726], vertebra(3).rgb).sum() > 30
    assert near(image[:, 300:510], vertebra(3).rgb).sum() == 0


def test_cases_without_a_vertebra_and_long_words_fit(tmp_path: Path) -> None:
    labels, _ = volumes()
    nothing = LabelVolume(labels.labels_zyx * 0, labels.affine_lps)
    words = ("- " + "a long line of words " * 60, "x" * 200)
    write_sheets([row(labels=nothing, lines=words), row(labels=nothing, reference=labels)], 2, "t", tmp_path)
    spine = Phantom(labels=tuple(range(1, 21)), shape_zyx=(400, 90, 80))
    write_sheets([row(spine)], 1, "t", tmp_path)


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        write_sheets([row()], 1, "t", tmp_path / "file")


def test_words_are_shown_as_they_are_and_numbers_that_no_level_has_are_not(tmp_path: Path) -> None:
    labels, _ = volumes()
    other = LabelVolume(np.where(labels.labels_zyx == 8, np.uint8(30), labels.labels_zyx), labels.affine_lps)
    write_sheets([row(name="$a_$", lines=("$\\frac$",), labels=other, reference=other)], 1, "$\\x$", tmp_path)
    image = pixels(tmp_path / "sheet.png")
    assert near(image, vertebra(7).rgb).sum() > 50


def test_only_sheets_of_this_command_are_removed(tmp_path: Path) -> None:
    for name in ("sheet-2.png", "sheet-mine.png", "sheet-1.png.png", "sheets.png"):
        (tmp_path / name).write_bytes(b"")
    write_sheets([row()], 1, "t", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "sheet.png",
        "sheet-mine.png",
        "sheet-1.png.png",
        "sheets.png",
    }
    (tmp_path / "sheet-1.png").mkdir()
    with raises_code(OutputError):
        write_sheets([row()], 1, "t", tmp_path)
