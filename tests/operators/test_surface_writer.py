"""The surface writer in an application of another maker."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("holoscan")

from cspine.core.errors import UsageError
from cspine.operators import SurfaceWriterOperator
from cspine.operators.sdk import Application, Image
from tests.builders.solid_vertebrae import two_balls


class _Inputs:
    def __init__(self, **images: Image) -> None:
        self._images = images

    def receive(self, port: str) -> Image:
        return self._images[port]


def test_it_writes_surfaces_and_elements_of_a_foreign_image(tmp_path: Path) -> None:
    labels = two_balls(18.0)
    metadata = {"affine": labels.affine_lps, "space": "LPS"}
    operator = SurfaceWriterOperator(
        Application(), name="writer", output_folder=tmp_path, surface_format="ply", fe_format="inp", edge_mm=3.0,
        model_name="other", model_version="1",
    )  # fmt: skip
    ct = np.where(labels.labels_zyx > 0, 300, -50).astype(np.int16)
    written = operator.work(_Inputs(seg_image=Image(labels.labels_zyx, metadata), image=Image(ct, metadata)))
    files = {path.relative_to(tmp_path).as_posix() for path in Path(written.path).rglob("*") if path.is_file()}
    assert files == {
        "report/surfaces/C3.ply", "report/surfaces/C4.ply", "report/surfaces/surfaces.json",
        "report/fe/vertebrae.inp", "report/fe/elements.json",
    }  # fmt: skip


def test_wrong_formats_are_refused_when_the_graph_is_made() -> None:
    with pytest.raises(UsageError):
        SurfaceWriterOperator(Application(), name="writer", surface_format="step")
