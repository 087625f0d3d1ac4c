"""What the system tests share: the example series, what `cspine run` makes of it, and an empty PACS."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.builders.small_neck import EXAMPLES
from tests.system.exchange import SCANNER
from tests.system.orthanc import Orthanc
from tests.system.tools import ROOT, artefact

#: All dates of all results: they can be compared byte by byte.
CLOCK = "1700000000"
Segmented = Callable[[Path, str], Path]


@pytest.fixture(scope="session")
def neck_ct() -> Path:
    """The 150 slices of the example, 184 x 184 pixels in JPEG-LS."""
    return EXAMPLES / "neck-ct"


@pytest.fixture(scope="session")
def segmented(tmp_path_factory: pytest.TempPathFactory) -> Segmented:
    """`cspine run` on a folder with a ``--seg-type``; gives the segmentation. Each run is made once."""
    done: dict[tuple[Path, str], Path] = {}

    def run(folder: Path, seg_type: str) -> Path:
        if (folder, seg_type) not in done:
            out = tmp_path_factory.mktemp("run")
            command = [sys.executable, "-m", "cspine", "run", str(folder), str(out), "--seg-type", seg_type]
            environment = os.environ | {"SOURCE_DATE_EPOCH": CLOCK}
            subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
            done[folder, seg_type] = out / "dicom" / "segmentation.dcm"
        return done[folder, seg_type]

    return run


@pytest.fixture(scope="module")
def running_pacs(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Orthanc]:
    """A PACS that asks for a password and knows a scanner; its log is kept."""
    folder = tmp_path_factory.mktemp("pacs")
    pacs = Orthanc(folder, user="radiology", password="only for tests", modalities={SCANNER: 11112})
    pacs.start()
    try:
        yield pacs
    finally:
        pacs.stop()
        artefact(f"{request.module.__name__.rpartition('.')[2]}-pacs.log").write_bytes(pacs.log.read_bytes())


@pytest.fixture
def pacs(running_pacs: Orthanc) -> Orthanc:
    """The PACS of the module, empty."""
    running_pacs.empty()
    return running_pacs
