"""Vertebrae in a finite-element solver: CalculiX compresses each between its end plates."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.finite_elements import compress
from cspine.api import read_ct
from cspine.core.anatomy import parse_levels
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.dicom.read_seg import read_segmentation
from cspine.io.nifti import read_labels
from cspine.surfaces.fe_model import FeModel, build_model
from cspine.surfaces.fe_settings import FeSettings
from cspine.surfaces.fe_write import compressible
from tests.builders.small_neck import EXAMPLES
from tests.system.conftest import Segmented
from tests.system.tools import needed

pytestmark = pytest.mark.system

#: The stiffness of a cervical vertebra between its end plates, N/mm, lies within wide bounds.
_PLAUSIBLE_N_MM = (500.0, 200_000.0)


def _solved(labels: LabelVolume, ct: CtVolume, levels: str, edge_mm: float, folder: Path) -> dict[str, float]:
    ccx = str(needed("ccx"))
    model: FeModel = build_model(labels, ct, FeSettings(edge_mm=edge_mm, levels=parse_levels(levels)))
    assert model.rejected == {}
    found = {}
    for part in compressible(model):
        result = compress(part, 1, folder, ccx)
        quality = part.quality
        print(  # noqa: T201
            f"{part.name}: {quality.elements} elements, min. scaled Jacobian {quality.min_scaled_jacobian:.2f}, "
            f"{100 * quality.poor_share:.2f} % below 0.2, solved in {result.seconds:.1f} s, "
            f"{result.stiffness_n_mm or 0:.0f} N/mm"
        )
        assert quality.is_acceptable
        assert result.stiffness_n_mm is not None, f"CalculiX failed for {part.name}"
        assert _PLAUSIBLE_N_MM[0] < result.stiffness_n_mm < _PLAUSIBLE_N_MM[1]
        found[part.name] = result.stiffness_n_mm
    return found


def test_every_vertebra_of_a_synthetic_neck_is_solved(neck_ct: Path, tmp_path: Path) -> None:
    labels = read_labels(EXAMPLES / "neck-ct-labels.nii.gz")
    found = _solved(labels, read_ct(neck_ct), "C3-C7", 1.5, tmp_path)
    assert list(found) == ["C3", "C4", "C5", "C6", "C7"]


def test_the_stiffness_converges_with_the_edge_length(neck_ct: Path, tmp_path: Path) -> None:
    labels, ct = read_labels(EXAMPLES / "neck-ct-labels.nii.gz"), read_ct(neck_ct)
    stiffness = [_solved(labels, ct, "C6", edge, tmp_path)["C6"] for edge in (3.0, 1.5, 1.0)]
    assert abs(stiffness[1] / stiffness[2] - 1) < abs(stiffness[0] / stiffness[2] - 1)


def test_every_vertebra_of_a_real_ct_is_solved(segmented: Segmented, tmp_path: Path) -> None:
    if "CSPINE_TEST_DATA" not in os.environ:
        pytest.skip("CSPINE_TEST_DATA is not set")
    folder = Path(os.environ["CSPINE_TEST_DATA"]) / "ct" / "head_neck_3mm"
    labels = read_segmentation(segmented(folder, "binary"))
    found = _solved(labels, read_ct(folder), "C3-C6", 1.5, tmp_path)
    assert list(found) == ["C3", "C4", "C5", "C6"]
