"""Spacing, orientation and positions: impossible, contradicting, or rounded as some systems store them."""

from __future__ import annotations

import copy
import random
from dataclasses import replace

import numpy as np
from pydicom import Dataset
from pydicom.valuerep import format_number_as_ds

from tests.fuzz.case import Case, set_raw, tag_of
from tests.fuzz.mutations.registry import DoesNotApplyError, mutation

_NUMBERS = (b"0", b"-1", b"1e-300", b"1e300", b"1000", b"NaN", b"", b"99", b"-0.0", b"1e308")


def _groups(case: Case, dataset: Dataset, macro: str) -> list[Dataset]:
    """The data sets that hold a macro's attributes: the header, or the items of the functional groups."""
    if not case.is_multiframe:
        return [dataset]
    groups = [*(dataset.get("SharedFunctionalGroupsSequence") or [])]
    groups += [*(dataset.get("PerFrameFunctionalGroupsSequence") or [])]
    return [group[macro].value[0] for group in groups if group.get(macro)]


def _single(case: Case) -> None:
    if case.is_multiframe:
        raise DoesNotApplyError


def _set_numbers(dataset: Dataset, keyword: str, values: list[float]) -> None:
    setattr(dataset, keyword, [format_number_as_ds(float(value)) for value in values])


@mutation("geometry")
def spacing_impossible(case: Case, rng: random.Random) -> None:
    values = rng.choice([b"\\".join(rng.choices(_NUMBERS, k=rng.choice([1, 2, 2, 3]))), b"0.001\\0.001", b"100\\100"])
    for dataset in case.some(rng):
        for group in _groups(case, dataset, "PixelMeasuresSequence"):
            set_raw(group, tag_of("PixelSpacing"), "DS", values)


@mutation("geometry")
def spacing_of_one_slice_differs(case: Case, rng: random.Random) -> None:
    _single(case)
    factor = rng.choice([1 + 1e-6, 1 + 1e-4, 1.002, 1.5, 0.5])
    _set_numbers(rng.choice(case.datasets), "PixelSpacing", [4 * factor, 4 * factor])


@mutation("geometry")
def spacing_is_that_of_the_header(case: Case, rng: random.Random) -> None:
    """Another valid spacing in all slices is another valid series."""
    row, column = rng.choice([0.5, 1.0, 3.0]), rng.choice([0.5, 2.0, 4.0])
    for dataset in case.datasets:
        for group in _groups(case, dataset, "PixelMeasuresSequence"):
            _set_numbers(group, "PixelSpacing", [row, column])
    case.truth = [replace(part, spacing_yx=(row, column)) for part in case.truth]


@mutation("geometry")
def orientation_impossible(case: Case, rng: random.Random) -> None:
    value = rng.choice(
        [b"0\\0\\0\\0\\0\\0", b"1\\0\\0\\1\\0\\0", b"1\\0\\0\\0\\2\\0", b"NaN\\0\\0\\0\\1\\0", b"1\\0\\0",
         b"1e200\\0\\0\\0\\1e200\\0",
         b"1\\0\\0\\0\\1\\0\\0", b"1\\0.2\\0\\0\\1\\0", b"1\\0\\0\\0\\inf\\0"]
    )  # fmt: skip
    for dataset in case.some(rng):
        for group in _groups(case, dataset, "PlaneOrientationSequence"):
            set_raw(group, tag_of("ImageOrientationPatient"), "DS", value)


@mutation("geometry")
def orientation_rounded(case: Case, rng: random.Random) -> None:
    """Noise of the last decimals, which many systems add."""
    amplitude = rng.choice([1e-9, 1e-6, 5e-5, 4e-4])
    for dataset in case.datasets:
        noise = [rng.uniform(-amplitude, amplitude) for _ in range(6)]
        for group in _groups(case, dataset, "PlaneOrientationSequence"):
            _set_numbers(group, "ImageOrientationPatient", list(np.array([1, 0, 0, 0, 1, 0]) + noise))


@mutation("geometry")
def orientation_of_one_slice_differs(case: Case, rng: random.Random) -> None:
    _single(case)
    angle = np.radians(rng.choice([1, 30, 90, 180]))
    cosines = [np.cos(angle), np.sin(angle), 0, -np.sin(angle), np.cos(angle), 0]
    _set_numbers(rng.choice(case.datasets), "ImageOrientationPatient", cosines)


@mutation("geometry")
def position_rounded(case: Case, rng: random.Random) -> None:
    amplitude = rng.choice([1e-6, 0.004, 0.009])
    for dataset in case.datasets:
        for group in _groups(case, dataset, "PlanePositionSequence"):
            position = np.array(group.ImagePositionPatient, dtype=float)
            _set_numbers(group, "ImagePositionPatient", list(position + rng.uniform(-amplitude, amplitude)))


@mutation("geometry")
def position_of_one_slice_moved(case: Case, rng: random.Random) -> None:
    _single(case)
    dataset = rng.choice(case.datasets)
    position = np.array(dataset.ImagePositionPatient, dtype=float)
    position[rng.randrange(3)] += rng.choice([0.3, -0.3, 1.0, 2.5, 5.0, -5.0, 1e3, 1e7, 1e200])
    _set_numbers(dataset, "ImagePositionPatient", list(position))


@mutation("geometry")
def position_impossible(case: Case, rng: random.Random) -> None:
    value = rng.choice(
        [b"NaN\\0\\0", b"0\\0", b"0\\0\\0\\0", b"", b"1e300\\0\\0", b"x\\y\\z", b"inf\\-inf\\0", b"0\\0\\0"]
    )
    for dataset in case.some(rng):
        for group in _groups(case, dataset, "PlanePositionSequence"):
            set_raw(group, tag_of("ImagePositionPatient"), "DS", value)


@mutation("geometry element file")
def positions_exchanged(case: Case, rng: random.Random) -> None:
    _single(case)
    first, second = rng.sample(case.datasets, 2)
    first["ImagePositionPatient"], second["ImagePositionPatient"] = (
        second["ImagePositionPatient"], first["ImagePositionPatient"],
    )  # fmt: skip


@mutation("geometry")
def slices_far_apart(case: Case, rng: random.Random) -> None:
    step = rng.choice([0.0, 1e-9, 0.01, 25.0, 99.0, 1e6])
    number = 0
    for dataset in case.datasets:
        for group in _groups(case, dataset, "PlanePositionSequence"):
            _set_numbers(group, "ImagePositionPatient", [-96.0, -90.0, step * number])
            number += 1


@mutation("geometry")
def slice_lost_within_the_stack(case: Case, rng: random.Random) -> None:
    _single(case)
    del case.datasets[rng.randrange(1, len(case.truth) - 1)]


@mutation("geometry")
def slice_twice_at_one_position(case: Case, rng: random.Random) -> None:
    _single(case)
    index = rng.randrange(len(case.datasets))
    twin = copy.deepcopy(case.datasets[index])
    twin.SOPInstanceUID = rng.choice(["1.2.3.4", str(twin.SOPInstanceUID)])
    twin.InstanceNumber = 99
    case.datasets.append(twin)


@mutation("geometry")
def thickness_is_nonsense(case: Case, rng: random.Random) -> None:
    for dataset in case.some(rng):
        for group in _groups(case, dataset, "PixelMeasuresSequence"):
            set_raw(group, tag_of("SliceThickness"), "DS", rng.choice(_NUMBERS))
