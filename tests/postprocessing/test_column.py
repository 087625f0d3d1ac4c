import numpy as np

from cspine.postprocessing.column import keep_column
from tests.builders.spine_phantom import NORMAL, Phantom, Trunk, draw


def test_a_clean_spine_stays_as_it_is() -> None:
    phantom = Phantom()
    labels = draw(phantom)
    kept, removed = keep_column(labels, phantom.grid())
    assert np.array_equal(kept, labels)
    assert removed == {}


def test_a_false_positive_in_the_teeth_is_removed() -> None:
    phantom = Phantom(shape_zyx=(170, 140, 80))
    clean = draw(phantom)
    dirty = clean.copy()
    dirty[150:165, 0:15, 30:50] = 1
    kept, removed = keep_column(dirty, phantom.grid())
    assert np.array_equal(kept, clean)
    assert removed == {1: 15 * 15 * 20.0}


def test_the_column_goes_on_behind_levels_that_were_missed() -> None:
    phantom = Phantom()
    labels = draw(phantom)
    labels[(labels == 4) | (labels == 5)] = 0
    kept, _ = keep_column(labels, phantom.grid())
    assert np.array_equal(kept, labels)


def test_a_level_that_cannot_follow_is_removed() -> None:
    phantom = Phantom(labels=(3, 4, 5, 6), shape_zyx=(170, 90, 80))
    labels = draw(phantom)
    labels[0:14, 30:50, 30:50] = 1  # C1 below C6
    kept, removed = keep_column(labels, phantom.grid())
    assert set(removed) == {1}
    assert set(np.unique(kept)) == {0, 3, 4, 5, 6}


def test_coarse_slices_are_handled() -> None:
    phantom = Phantom(shape_zyx=(50, 90, 80), spacing_xyz=(1.0, 1.0, 3.3))
    labels = draw(phantom)
    assert keep_column(labels, phantom.grid())[1] == {}


def test_a_larger_jumble_of_labels_does_not_win_over_an_ordered_column() -> None:
    phantom = Phantom(labels=(4, 5, 6, 7, 8), shape_zyx=(260, 140, 80))
    clean = draw(phantom)
    lowest = int(np.flatnonzero(clean.any(axis=(1, 2)))[0])
    dirty = clean.copy()
    for index, label in enumerate((8, 2, 7, 1, 6, 3, 5, 4)):
        dirty[12 * index : 12 * index + 10, 20:80, 10:70] = label
    assert lowest > 12 * 8 + 20
    kept, removed = keep_column(dirty, phantom.grid())
    assert np.array_equal(kept, clean)
    assert sum(removed.values()) > np.count_nonzero(clean) * phantom.grid().voxel_mm3


def test_specks_of_other_levels_do_not_discredit_the_column() -> None:
    phantom = Phantom(labels=(6,), shape_zyx=(260, 140, 80))
    clean = draw(phantom)
    top = int(np.flatnonzero(clean.any(axis=(1, 2)))[-1])
    _, y, x = (int(v) for v in np.argwhere(clean == 6).mean(axis=0))
    dirty = clean.copy()
    for number, label in enumerate((1, 2, 3, 4)):  # above C6, a few millimetres apart
        dirty[top + 2 : top + 6, y - 8 + 5 * number : y - 5 + 5 * number, x : x + 6] = label
    dirty[:6, 2:8, 2:8], dirty[14:20, 2:8, 2:8] = 2, 1  # two small specks, a step apart
    kept, _ = keep_column(dirty, phantom.grid())
    assert np.array_equal(kept[clean > 0], clean[clean > 0])
    assert not kept[:20].any()


def test_pieces_of_lumbar_vertebrae_called_cervical_do_not_discredit_a_spine() -> None:
    """A network that sees a long spine in patches labels some of L4 as C2: no speck must win over all."""
    trunk = Trunk()
    labels = trunk.draw()[0]
    for lumbar, taken_for in ((22, 7), (23, 2), (24, 7)):
        index = np.argwhere(labels == lumbar)
        labels[tuple(index[index[:, 2] < np.quantile(index[:, 2], 0.4)].T)] = taken_for
    labels[:4, :5, :5] = 17
    kept, removed = keep_column(labels, trunk.grid())
    assert removed == {17: 4 * 5 * 5 * 27.0}
    assert (
        np.array_equal(kept > 0, (labels > 0) & (kept > 0)) and np.count_nonzero(kept) == np.count_nonzero(labels) - 100
    )


def test_a_lower_half_whose_levels_begin_one_too_high_goes_on_from_the_upper_one() -> None:
    """Between T7 and T8 the link is lost, and from there on every level is called by the one above."""
    trunk = Trunk(NORMAL[8:22], spacing_mm=2.0)
    predicted = trunk.draw()[0]
    labels = np.where((predicted >= 16) & (predicted > 0), predicted - 2, predicted).astype(np.uint8)
    labels[predicted == 15] = 0
    kept, _ = keep_column(labels, trunk.grid())
    assert np.array_equal(kept, labels)
