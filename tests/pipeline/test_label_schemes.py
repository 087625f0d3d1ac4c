"""Numbers of other systems become ours, and what a scheme does not know is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cspine.core.anatomy import vertebra
from cspine.core.errors import LabelSchemeError
from cspine.core.volumes import LabelVolume
from cspine.io import nifti
from cspine.pipeline import label_schemes
from cspine.pipeline.label_schemes import SCHEMES
from cspine.pipeline.scheme_files import read_labels
from tests.builders.raises import raises_code


def write(path: Path, *numbers: int, affine: np.ndarray | None = None) -> Path:
    """An image that holds each number once, and background."""
    array = np.zeros((3, 4, 30), dtype=np.uint8)
    array.flat[: len(numbers)] = numbers
    nifti.write(path, array, np.eye(4) if affine is None else affine)
    return path


def read(path: Path, scheme: str) -> list[int]:
    """What an image of `write` holds as labels of cspine, in its order, without what became background."""
    return [int(v) for v in read_labels(path, scheme).labels_zyx.ravel() if v]


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
def test_every_number_of_a_scheme_is_read(tmp_path: Path, scheme: label_schemes.LabelScheme) -> None:
    known = {*scheme.levels, *scheme.others}
    array = np.zeros((1, 16, 16), dtype=np.uint8)
    array.flat[: len(known)] = sorted(known)
    nifti.write(tmp_path / "a.nii.gz", array, np.eye(4))
    found = read_labels(tmp_path / "a.nii.gz", scheme.name).labels_zyx.ravel()[: len(known)]
    expected = [vertebra(scheme.levels[n]).label if n in scheme.levels else 0 for n in sorted(known)]
    assert found.tolist() == expected
    assert not scheme.levels.keys() & scheme.others and 0 not in known
    for unknown in {*range(1, 256)} - known:
        volume = LabelVolume(np.full((1, 1, 1), unknown, dtype=np.uint8), np.eye(4))
        with raises_code(LabelSchemeError, "x.nii.gz", unknown, scheme.name):
            scheme.to_anatomy(volume, "x.nii.gz")


@pytest.mark.parametrize(
    ("scheme", "numbers", "levels"),
    [
        ("verse", (1, 8, 20, 25, 28, 26), "C1 T1 L1 L6 T13"),
        ("ctspine1k", (1, 7, 19, 25), "C1 C7 T12 L6"),
        ("payer", (2, 28), "C2 T13"),
        ("meng", (2, 28), "C2 T13"),
        ("totalsegmentator-v2", (50, 44, 43, 32, 31, 27, 25, 26, 79), "C1 C7 T1 T12 L1 L5"),
        ("totalsegmentator-v1", (41, 35, 34, 23, 22, 18, 92, 50), "C1 C7 T1 T12 L1 L5"),
        ("totalsegmentator-pp", (1, 8, 19, 24), "C1 T1 T12 L5"),
        ("cads", (24, 18, 17, 6, 5, 1), "C1 C7 T1 T12 L1 L5"),
        ("vista3d", (56, 50, 49, 38, 37, 33, 131, 97, 1), "C1 C7 T1 T12 L1 L5 L6"),
        ("totalspineseg", (11, 17, 21, 32, 41, 46, 1, 50, 63, 100), "C1 C7 T1 T12 L1 L6"),
        ("totalspineseg-early", (41, 34, 18, 92, 200, 224), "C1 T1 L5"),
        ("spineps", (3, 28, 26, 103, 203, 228), "C3 T13"),
    ],
)
def test_levels_of_other_systems(tmp_path: Path, scheme: str, numbers: tuple[int, ...], levels: str) -> None:
    found = read(write(tmp_path / "a.nii.gz", *numbers), scheme)
    assert found == [vertebra(level).label for level in levels.split()]


def test_numbers_are_given_as_ranges() -> None:
    assert SCHEMES["verse"].numbers_text == "1..7 = C1..C7, 8..19 = T1..T12, 20..25 = L1..L6, 28 = T13"
    assert SCHEMES["totalsegmentator-v2"].numbers_text == "27..31 = L5..L1, 32..43 = T12..T1, 44..50 = C7..C1"
