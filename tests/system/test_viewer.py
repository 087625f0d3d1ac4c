"""A result in a viewer: OHIF in a headless Chromium, with the DICOMweb of Orthanc."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread

from cspine.core.anatomy import Vertebra, vertebra
from tests.system.conftest import Segmented
from tests.system.exchange import send_by_pynetdicom
from tests.system.orthanc import Orthanc
from tests.system.tools import NODE_PACKAGES, artefact, needed, needed_file
from tests.system.viewer_server import viewer_over

pytestmark = pytest.mark.system

_LOOK = Path(__file__).parent / "viewer" / "inspect.js"
# Outlines have the colour of the segment, with soft edges.
_NEAR = 30


def _seen(pacs: Orthanc, images: Path, segmentation: Path, name: str) -> tuple[dict[str, Any], Path, Path]:
    """Open a segmentation in the viewer; what the page says, and pictures with the segmentation and without."""
    chromium, node = needed("chromium"), needed("node")
    viewer = needed_file(NODE_PACKAGES / "ohif", "OHIF")
    packages = needed_file(NODE_PACKAGES / "node_modules", "puppeteer-core")
    sent = send_by_pynetdicom([*sorted(images.iterdir()), segmentation], pacs.dicom_port, pacs.ae_title)
    assert set(sent) == {0}
    result = dcmread(segmentation, stop_before_pixels=True)
    query = f"StudyInstanceUIDs={result.StudyInstanceUID}&initialSeriesInstanceUID={result.SeriesInstanceUID}"
    shown, hidden = artefact(f"{name}.png"), artefact(f"{name}-hidden.png")
    with viewer_over(pacs, viewer) as address:
        task = {
            "chromium": str(chromium),
            "url": f"{address}/viewer?{query}",
            "shown": str(shown),
            "hidden": str(hidden),
        }
        for _ in range(2):  # the viewer itself loses an overlay now and then when its layout changes while it loads
            done = subprocess.run(
                [node, str(_LOOK), json.dumps(task)],
                capture_output=True, text=True, check=False, timeout=600, env=os.environ | {"NODE_PATH": str(packages)},
            )  # fmt: skip
            if done.returncode == 0:
                break
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout), shown, hidden


def _pane(page: dict[str, Any], picture: Path) -> NDArray[np.int16]:
    """The sagittal plane in a picture, shape (y, x, RGB)."""
    left, top = int(page["pane"]["x"]), int(page["pane"]["y"])
    right, bottom = left + int(page["pane"]["width"]), top + int(page["pane"]["height"])
    return np.asarray(Image.open(picture).convert("RGB"), dtype=np.int16)[top:bottom, left:right]


def _rows_of(colour: tuple[int, int, int], pane: NDArray[np.int16]) -> NDArray[np.intp]:
    """Vertical positions of the pixels near a colour."""
    return np.nonzero(np.abs(pane - np.array(colour)).max(axis=2) < _NEAR)[0]


def _levels(segmentation: Path) -> list[Vertebra]:
    return [vertebra(segment.SegmentLabel) for segment in dcmread(segmentation).SegmentSequence]


def _assert_names(page: dict[str, Any], segmentation: Path) -> None:
    """The panel lists the segments, and there are no error messages."""
    segments = dcmread(segmentation).SegmentSequence
    assert [row.split() for row in page["rows"]] == [[str(s.SegmentNumber), s.SegmentLabel] for s in segments]
    assert page["dialogs"] == []
    assert page["notices"] == []


def test_ohif_shows_every_vertebra_by_name_colour_and_position(
    pacs: Orthanc, neck_ct: Path, segmented: Segmented
) -> None:
    segmentation = segmented(neck_ct, "binary")
    levels = _levels(segmentation)
    assert len(levels) == 8
    page, shown, hidden = _seen(pacs, neck_ct, segmentation, "ohif")
    _assert_names(page, segmentation)
    heights = []
    for level in levels:
        assert len(_rows_of(level.rgb, _pane(page, hidden))) == 0
        rows = _rows_of(level.rgb, _pane(page, shown))
        assert len(rows) > 30, level.name
        heights.append(float(np.median(rows)))
    assert heights == sorted(heights)  # C1 on top


def test_ohif_shows_a_label_map_by_name_where_the_vertebrae_are(
    pacs: Orthanc, neck_ct: Path, segmented: Segmented
) -> None:
    segmentation = segmented(neck_ct, "labelmap")
    page, shown, hidden = _seen(pacs, neck_ct, segmentation, "ohif-labelmap")
    _assert_names(page, segmentation)
    # OHIF gives a label map's segments each other's colours, so only where they are is compared.
    painted = np.abs(_pane(page, shown) - _pane(page, hidden)).max(axis=2) > _NEAR
    assert painted.sum() > 1000
    spoken_for = _pane(page, hidden).max(axis=2) > 100
    assert spoken_for[painted].mean() > 0.5  # on bone
