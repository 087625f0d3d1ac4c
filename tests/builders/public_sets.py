"""Small cases for the layouts of the public data sets: a spine of simple solids in air, on wide voxels."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import numpy as np

from cspine.core.geometry import reorientation
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.study.dry_run import layouts
from cspine.study.dry_run.layouts import Person
from tests.builders.spine_phantom import Phantom, draw, hu_of

_patients = count()
NECK = (1, 2, 3, 4, 5, 6, 7, 8, 9)
TRUNK = (18, 19, 20, 21, 22, 23, 24)
LADY, MAN = Person(61, "F"), Person(47, "M")


def small_case(
    labels: tuple[int, ...] = NECK, orientation: str = "LPS", spacing_xyz: tuple[float, float, float] = (3.0, 3.0, 3.0)
) -> tuple[CtVolume, LabelVolume]:
    """Return image and labels of some 25 x 30 x 60 voxels; every vertebra is complete, and no image equals another."""
    x, y, z = spacing_xyz
    shape = (round((len(labels) * 18 + 20) / z), round(90 / y), round(75 / x))
    phantom = Phantom(labels, shape, spacing_xyz)
    truth = draw(phantom)
    hu = hu_of(truth > 0)
    hu[:, :2], hu[:, -2:] = -1000, -1000
    hu[0, 2, 2] = next(_patients)
    change = reorientation(phantom.grid().affine_lps, orientation)
    affine = change.grid(phantom.grid()).affine_lps
    hu_reoriented, labels_reoriented = (np.ascontiguousarray(change.apply(a)) for a in (hu, truth))
    return CtVolume(hu_reoriented, affine), LabelVolume(labels_reoriented, affine)


def without(labels: LabelVolume, *numbers: int) -> LabelVolume:
    """Return the labels without some of them."""
    return LabelVolume(np.where(np.isin(labels.labels_zyx, numbers), 0, labels.labels_zyx), labels.affine_lps)


def write_every_set(root: Path) -> dict[str, Path]:
    """Write two cases or three of each data set; return the folders by the options of `cspine dataset convert`."""
    layouts.write_verse(root / "verse2019", 4, *small_case(orientation="PIR"), LADY)
    layouts.write_verse(root / "verse2019", 5, *small_case(), MAN)
    layouts.write_verse(root / "verse2020", 4, *small_case(), LADY)
    layouts.write_verse(root / "verse2020", 500, *small_case(TRUNK), MAN)
    layouts.write_hnscc(root / "hnscc", root / "ctspine1k", 1, *small_case(), MAN)
    layouts.write_ctspine1k(root / "ctspine1k", "1.3.6.1.4.1.9328.50.4.0001", *small_case(TRUNK))
    layouts.write_msd_colon(root / "msd-colon", root / "ctspine1k", 1, *small_case(TRUNK))
    for number, (levels, person) in enumerate(((NECK, LADY), (NECK, MAN), (TRUNK, LADY))):
        layouts.write_totalsegmentator(root / "totalsegmentator", number, *small_case(levels), person)
    names = ("verse2019", "verse2020", "ctspine1k", "hnscc", "msd-colon", "totalsegmentator")
    return {name: root / name for name in names}
