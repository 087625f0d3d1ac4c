"""Small CT studies for the tests of the service."""

from __future__ import annotations

from functools import cache

from pydicom import Dataset

from cspine.dicom.write_ct import CtSeriesDescription
from tests.builders.ct_series import Stack, build
from tests.builders.segmentations import SECRET, with_meta


def ct_datasets(seed: str, slices: int = 3) -> list[Dataset]:
    """CT instances of the study that belongs to a seed, with file meta information; not to be changed."""
    return list(_ct_datasets(seed, slices))


@cache
def _ct_datasets(seed: str, slices: int) -> list[Dataset]:
    description = CtSeriesDescription(uid_seed=seed, patient_name=SECRET, patient_id="PRIVATE-77")
    return [with_meta(dataset) for dataset in build(Stack(shape_zyx=(slices, 9, 8), description=description))]
