"""Bone that is joined to C7 and reaches far to the side is reported; first ribs, vessels and shoulders are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cspine.core.geometry import reorientation
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.postprocessing.ribs import rib_findings
from tests.builders.small_neck import small_neck
from tests.builders.spine_phantom import Phantom, volumes

#: A wide image: transverse processes of C7 and T1 end 34 mm beside the midline.
WIDE = Phantom(shape_zyx=(170, 90, 160))
TIP_MM = 34


class Neck:
    """The phantom with transverse processes, to which bone can be added beside C7 and T1."""

    def __init__(self) -> None:
        self.labels, self.ct = volumes(WIDE)
        self.fill(7, (20, TIP_MM), labelled=True)
        self.fill(8, (20, TIP_MM), labelled=True)

    def fill(
        self, label: int, left_mm: tuple[float, float], *, drop: int = 0, labelled: bool = False, hu: int = 400
    ) -> Neck:
        """Put a bar of 8 x 8 mm at the height of a vertebra, or below it, from one distance to another on the left."""
        cx, cy, cz = WIDE.centre_mm(label - 1)
        z, y = int(cz) - drop, int(cy) + 10
        bars = [slice(int(cx + a), int(cx + b)) for a, b in ([left_mm, [-m for m in reversed(left_mm)]])]
        for bar in bars if labelled else bars[:1]:
            self.ct.hu_zyx[z - 4 : z + 4, y - 4 : y + 4, bar] = hu
            if labelled:
                self.labels.labels_zyx[z - 4 : z + 4, y - 4 : y + 4, bar] = label
        return self

    def found(self) -> list[tuple[str, str | None]]:
        return [(finding.code, finding.level) for finding in rib_findings(self.ct, self.labels)]


def test_a_neck_with_transverse_processes_has_no_finding() -> None:
    assert Neck().found() == []


def test_ordinary_bones_beside_the_neck_have_no_finding() -> None:
    ct, labels = small_neck()
    assert rib_findings(ct, labels) == ()


@pytest.mark.parametrize("gap_mm", [0, 1])
def test_a_rib_that_is_joined_to_c7_is_reported(gap_mm: int) -> None:
    assert Neck().fill(7, (TIP_MM + gap_mm, 62)).found() == [("CS-FND-045", "C7")]


def test_a_rib_that_was_labelled_as_c7_is_reported_on_both_sides() -> None:
    assert Neck().fill(7, (20, 60), labelled=True).found() == [("CS-FND-045", "C7")] * 2


@pytest.mark.parametrize("target", ["RAS", "AIL"])
def test_the_side_is_that_of_the_patient(target: str) -> None:
    neck = Neck().fill(7, (TIP_MM, 62))
    change = reorientation(neck.ct.affine_lps, target)
    affine = change.grid(neck.ct.grid).affine_lps
    labels = LabelVolume(change.apply(neck.labels.labels_zyx), affine)
    (finding,) = rib_findings(CtVolume(change.apply(neck.ct.hu_zyx), affine), labels)
    assert "left" in finding.sentence


def test_the_first_rib_is_not_reported_even_if_it_lies_beside_c7() -> None:
    neck = Neck().fill(8, (TIP_MM, 62))
    assert neck.found() == []
    cx, cy, cz = (int(v) for v in WIDE.centre_mm(6))
    neck.ct.hu_zyx[cz - 22 : cz + 4, cy + 6 : cy + 14, cx + TIP_MM + 1 : cx + TIP_MM + 6] = 400
    assert neck.found() == []


@pytest.mark.parametrize(
    ("left_mm", "hu"),
    [
        ((TIP_MM, TIP_MM + 9), 400),  # a long transverse process
        ((TIP_MM + 6, 70), 400),  # the clavicle is joined to nothing
        ((TIP_MM, 62), 150),  # muscle with contrast medium
    ],
)
def test_what_is_short_or_apart_or_soft_is_not_reported(left_mm: tuple[float, float], hu: int) -> None:
    assert Neck().fill(7, left_mm, hu=hu).found() == []


def test_a_piece_of_c7_has_no_finding() -> None:
    neck = Neck()
    index = np.argwhere(neck.labels.labels_zyx == 7)
    neck.labels.labels_zyx[tuple(index[3:].T)] = 0
    assert neck.found() == []


def test_without_t1_nothing_is_said() -> None:
    neck = Neck().fill(7, (TIP_MM, 62))
    kept = np.where(neck.labels.labels_zyx == 8, np.uint8(0), neck.labels.labels_zyx)
    neck.labels = replace(neck.labels, labels_zyx=kept)
    assert neck.found() == []
