from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cspine.core.anatomy import VERTEBRAE, vertebra
from cspine.core.errors import NoVertebraError, OutputError
from cspine.core.findings import TRUNCATED, UNDER_AGE
from cspine.core.geometry import reorientation
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.report.preview import SIZE_PIXELS, marked_preview, render_preview
from tests.builders.spine_phantom import MODEL, Phantom, Trunk, trunk_volumes, volumes


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), dtype=np.int16)


def near(image: np.ndarray, rgb: tuple[int, int, int]) -> np.ndarray:
    """Where the picture has the colour of a level's outline."""
    return np.abs(image - np.array(rgb)).max(axis=-1) <= 6


def test_the_picture_has_its_size_and_no_date(tmp_path: Path) -> None:
    labels, ct = volumes()
    render_preview(ct, labels, MODEL.title, (), tmp_path / "p.png")
    with Image.open(tmp_path / "p.png") as image:
        assert image.size == SIZE_PIXELS
        assert not {"Creation Time", "Software"} & set(image.info)
    assert [p.name for p in tmp_path.iterdir()] == ["p.png"]


def test_the_same_result_gives_the_same_bytes(tmp_path: Path) -> None:
    labels, ct = volumes()
    for name in ("a.png", "b.png"):
        render_preview(ct, labels, MODEL.title, (UNDER_AGE.about("Young."),), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_every_level_has_its_colour(tmp_path: Path) -> None:
    labels, ct = volumes()
    render_preview(ct, labels, MODEL.title, (), tmp_path / "p.png")
    image = pixels(tmp_path / "p.png")
    for label in range(1, 9):
        assert near(image, vertebra(label).rgb).sum() > 100, label


@pytest.mark.parametrize("target", ["RAS", "PSL"])
def test_the_orientation_of_the_array_changes_nothing(tmp_path: Path, target: str) -> None:
    labels, ct = volumes()
    ct.hu_zyx[:, :, 60:] += 200  # the two sides differ
    change = reorientation(ct.affine_lps, target)
    affine = change.grid(ct.grid).affine_lps
    render_preview(ct, labels, "t", (), tmp_path / "a.png")
    reoriented = LabelVolume(change.apply(labels.labels_zyx), affine, MODEL)
    render_preview(CtVolume(change.apply(ct.hu_zyx), affine), reoriented, "t", (), tmp_path / "b.png")
    assert np.array_equal(pixels(tmp_path / "a.png"), pixels(tmp_path / "b.png"))


def test_the_patients_left_is_on_the_viewers_right(tmp_path: Path) -> None:
    labels, ct = volumes(Phantom(labels=(3,)))
    marked = labels.labels_zyx.copy()
    x = np.arange(marked.shape[2])
    marked[(marked == 3) & (x > 40)] = 4  # x grows to the patient's left
    render_preview(ct, LabelVolume(marked, labels.affine_lps), "t", (), tmp_path / "p.png")
    image = pixels(tmp_path / "p.png")[:, : SIZE_PIXELS[0] * 3 // 4]
    right, left = near(image, vertebra(3).rgb), near(image, vertebra(4).rgb)
    assert np.argwhere(left)[:, 1].mean() > np.argwhere(right)[:, 1].mean()


def test_proportions_are_true(tmp_path: Path) -> None:
    fine, coarse = Phantom(), Phantom(shape_zyx=(57, 90, 80), spacing_xyz=(1.0, 1.0, 3.0))
    sizes = []
    for phantom in (fine, coarse):
        labels, ct = volumes(phantom)
        only = np.where(labels.labels_zyx == 4, labels.labels_zyx, np.uint8(0))
        render_preview(ct, LabelVolume(only, labels.affine_lps), "t", (), tmp_path / "p.png")
        where = np.argwhere(near(pixels(tmp_path / "p.png")[:, : SIZE_PIXELS[0] * 7 // 10], vertebra(4).rgb))
        height, width = np.ptp(where, axis=0)
        sizes.append(height / width)
    assert sizes[1] == pytest.approx(sizes[0], rel=0.25)


def test_a_complete_spine_and_many_findings_fit(tmp_path: Path) -> None:
    labels, ct = volumes(Phantom(labels=tuple(range(1, 26)), shape_zyx=(500, 90, 80)))
    findings = [TRUNCATED.about(f"Vertebra {i}.") for i in range(20)]
    render_preview(ct, labels, MODEL.title, findings, tmp_path / "p.png")
    assert (tmp_path / "p.png").stat().st_size > 10_000


def test_a_single_vertebra_at_the_corner_of_a_small_scan(tmp_path: Path) -> None:
    labels = np.zeros((3, 12, 12), dtype=np.uint8)
    labels[:, :6, :6] = 5
    affine = np.diag([1.0, 1.0, 3.0, 1.0])
    ct = CtVolume(np.zeros(labels.shape, dtype=np.int16), affine)
    render_preview(ct, LabelVolume(labels, affine), "t", (), tmp_path / "p.png")
    assert (tmp_path / "p.png").exists()


def test_nothing_to_show_is_an_error(tmp_path: Path) -> None:
    labels, ct = volumes()
    empty = LabelVolume(np.zeros_like(labels.labels_zyx), labels.affine_lps)
    with pytest.raises(NoVertebraError):
        render_preview(ct, empty, "t", (), tmp_path / "p.png")


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        render_preview(*reversed(volumes()), "t", (), tmp_path / "file" / "p.png")


def test_a_complete_spine_shows_an_axial_plane_through_every_vertebra(tmp_path: Path) -> None:
    labels, ct, _ = trunk_volumes(Trunk(tuple(level.label for level in VERTEBRAE)))
    render_preview(ct, labels, "t", (), tmp_path / "p.png")
    image = pixels(tmp_path / "p.png")[:, SIZE_PIXELS[0] // 3 :]  # what lies right of the long panels
    for level in VERTEBRAE:
        alike = sum(other.rgb == level.rgb for other in VERTEBRAE)
        assert near(image, level.rgb).sum() > 150 * alike, level.name


def test_a_neck_has_eight_axial_planes_in_two_columns(tmp_path: Path) -> None:
    """The picture of a cervical result is laid out as ever."""
    labels, ct = volumes()
    render_preview(ct, labels, "t", (), tmp_path / "p.png")
    image = pixels(tmp_path / "p.png")
    assert near(image[:, -270:], vertebra(8).rgb).sum() > 100
    assert not near(image[:, -270:], vertebra(1).rgb).sum()


def test_the_marked_preview_has_words_burned_in(tmp_path: Path) -> None:
    labels, ct = volumes()
    render_preview(ct, labels, MODEL.title, (), tmp_path / "p.png")
    plain, marked = pixels(tmp_path / "p.png"), marked_preview(ct, labels, MODEL.title, ())
    assert marked.shape == plain.shape and marked.dtype == np.uint8
    rows, columns = np.nonzero((marked != plain).any(axis=-1))
    assert len(rows) > 1000
    assert rows.max() < 80 and abs(columns.mean() - SIZE_PIXELS[0] / 2) < 5
