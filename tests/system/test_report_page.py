"""The report page in a headless Chromium: narrow and wide, light and dark, with WebGL and without, by keyboard."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cspine.core.anatomy import vertebra
from cspine.core.findings import MISSING_LEVEL, TRUNCATED
from cspine.report.page.html import write_page
from tests.builders.spine_phantom import Phantom, volumes
from tests.builders.summaries import phantom_summary
from tests.system.tools import NODE_PACKAGES, artefact, needed, needed_file

pytestmark = pytest.mark.system

_USE = Path(__file__).parent / "viewer" / "page.js"
Use = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def use(tmp_path_factory: pytest.TempPathFactory) -> Use:
    """Open the page of the phantom and use it; returns what was on the screen."""
    chromium, node = needed("chromium"), needed("node")
    packages = needed_file(NODE_PACKAGES / "node_modules", "puppeteer-core")
    labels, ct = volumes(Phantom())
    findings = (TRUNCATED.about("T1 is truncated by the edge of the scan.", "T1"), MISSING_LEVEL.about("C5.", "C5"))
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_page(phantom_summary(labels, ct, findings), ct, labels, path)

    def run(name: str, width: int, *, dark: bool = False, webgl: bool = True) -> dict[str, Any]:
        task = {
            "chromium": str(chromium), "url": path.as_uri(), "width": width, "dark": dark, "webgl": webgl,
            "shot": str(artefact(f"page-{name}.png")),
        }  # fmt: skip
        done = subprocess.run(
            [node, str(_USE), json.dumps(task)],
            capture_output=True, text=True, check=False, timeout=300, env=os.environ | {"NODE_PATH": str(packages)},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return run


@pytest.mark.parametrize(("width", "dark"), [(390, False), (390, True), (1280, False), (1280, True)])
def test_the_page_fits_and_loads_nothing(use: Use, width: int, dark: bool) -> None:
    seen = use(f"{width}-{'dark' if dark else 'light'}", width, dark=dark)
    assert seen["messages"] == []
    assert seen["before"]["overflow"] <= 0
    assert seen["before"]["live"] == {"slices": True, "solids": True} and not seen["before"]["still"]
    brightness = [int(v) for v in seen["before"]["background"].removeprefix("rgb(").removesuffix(")").split(",")]
    assert (max(brightness) < 60) is dark


def test_slices_and_solids_follow_the_keyboard(use: Use) -> None:
    seen = use("used", 1280)
    before, after = seen["before"], seen["after"]
    assert (before["window"], after["window"]) == ("Bone", "Soft tissue")
    assert before["captions"][0] == "along the column; C1, C2, C3, C4, C5, C6, C7, T1"
    assert before["captions"][2] != after["captions"][2] and after["captions"][2] in after["labels"][2]
    assert all(one != other for one, other in zip(before["pictures"], after["pictures"], strict=True))
    assert seen["printed"] == {"stills": 2, "live": 0, "nav": 0}


def test_every_vertebra_is_seen_in_its_colour(use: Use) -> None:
    use("colours", 1280)
    with Image.open(artefact("page-colours.png")) as shot:
        image = np.asarray(shot.convert("RGB"), dtype=float)
    brightness = image.max(axis=-1)
    for name in ("C1", "C4", "T1"):
        rgb = np.array(vertebra(name).rgb) / max(vertebra(name).rgb)
        near = np.abs(image / np.maximum(brightness, 1)[..., None] - rgb).max(axis=-1) < 0.12
        assert (near & (brightness > 60)).sum() > 2000, name


def test_without_webgl_there_is_a_picture(use: Use) -> None:
    seen = use("without-webgl", 1280, webgl=False)
    assert seen["before"]["live"] == {"slices": True, "solids": False} and seen["before"]["still"]
    assert seen["messages"] == []
