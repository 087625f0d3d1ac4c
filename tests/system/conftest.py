"""Fixtures of the system tests: the example series, its segmentation, an empty PACS, and services."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from cspine.pipeline.outputs import OUTPUTS
from tests.builders.small_neck import EXAMPLES
from tests.system.exchange import SCANNER
from tests.system.neck_studies import CLOCK, NeckStudy, direct_run, neck_study, quick_model
from tests.system.orthanc import Orthanc
from tests.system.service import AE_TITLE, RunningService
from tests.system.tools import ROOT, artefact

PASSWORD = "only for tests"
Segmented = Callable[[Path, str], Path]


@pytest.fixture(scope="session")
def neck_ct() -> Path:
    """The 150 slices of the example, 184 x 184 pixels in JPEG-LS."""
    return EXAMPLES / "neck-ct"


@pytest.fixture(scope="session")
def segmented(tmp_path_factory: pytest.TempPathFactory) -> Segmented:
    """`cspine run` on a folder with a ``--seg-type``; returns the segmentation. Each run is cached."""
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


@pytest.fixture(scope="session")
def every_object(neck_ct: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The DICOM objects of one run with every output that is one; the series ends within C7, which is a finding."""
    place = tmp_path_factory.mktemp("every-object")
    out, cut = place / "out", place / "ct"
    cut.mkdir()
    by_height = sorted(
        neck_ct.iterdir(), key=lambda path: dcmread(path, stop_before_pixels=True).ImagePositionPatient[2]
    )
    for path in by_height[len(by_height) // 3 :]:
        (cut / path.name).symlink_to(path)
    outputs = ",".join(output.name for output in OUTPUTS if output.needs_dicom)
    options = ["--outputs", f"{outputs},surfaces,summary", "--surface-format", "dicom"]
    command = [sys.executable, "-m", "cspine", "run", str(cut), str(out), *options]
    subprocess.run(command, cwd=ROOT, env=os.environ | {"SOURCE_DATE_EPOCH": CLOCK}, check=True, capture_output=True)
    return sorted((out / "dicom").iterdir())


@pytest.fixture(scope="module")
def running_pacs(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Orthanc]:
    """A PACS with a password and a known scanner; its log is saved."""
    folder = tmp_path_factory.mktemp("pacs")
    pacs = Orthanc(folder, user="radiology", password=PASSWORD, modalities={SCANNER: 11112, AE_TITLE: 11113})
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


# --- the service ------------------------------------------------------------------------------------------------------

MakeService = Callable[..., RunningService]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that takes a second or two."""
    return quick_model(tmp_path_factory.mktemp("model") / "quick")


@pytest.fixture
def study(tmp_path: Path, request: pytest.FixtureRequest) -> NeckStudy:
    """A study of this test alone."""
    return neck_study(tmp_path / "study", f"{request.node.name}")


@pytest.fixture
def expected(study: NeckStudy, model: Path, tmp_path: Path) -> Dataset:
    """What `cspine run` makes of the study."""
    return direct_run(study.folder, model, tmp_path / "direct")


@pytest.fixture(scope="module")
def make_service(
    tmp_path_factory: pytest.TempPathFactory, model: Path, request: pytest.FixtureRequest
) -> Iterator[MakeService]:
    """Create services with their own spools from sections of the configuration; their logs are saved."""
    made: list[RunningService] = []

    def make(**sections: object) -> RunningService:
        defaults: dict[str, object] = {
            "study_complete_after_s": 2,
            "limits": {"min_free_bytes": 2**20},
            "run": {"model": str(model), "devices": ["cpu"], "retry_after_s": 1},
        }
        environment = {"SOURCE_DATE_EPOCH": CLOCK, "PACS_PASSWORD": PASSWORD}
        made.append(RunningService(tmp_path_factory.mktemp("service"), defaults | sections, environment))
        return made[-1]

    yield make
    for number, service in enumerate(made, 1):
        if not service.ended():
            service.kill()
        name = request.module.__name__.rpartition(".")[2]
        artefact(f"{name}-service-{number}.log").write_bytes(service.log.read_bytes())
