"""Fixtures that several folders of tests share."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cspine.study.synthesis.atlas import Atlas, load_atlas
from cspine.study.synthesis.neck.people import EVALUATION_PEOPLE, People, load_people
from cspine.study.synthesis.spine.forms import SpineForms, parametric_forms
from tests.builders.all_workers import made_once
from tests.builders.bright_studies import write_bright_study
from tests.builders.cohorts import bright_task
from tests.builders.small_neck import write_neck_model
from tests.builders.solid_people import write_meshes, write_person
from tests.builders.tiny_atlas import write_atlas
from tests.builders.tiny_model import TrainedModel, train_tiny_model
from tests.builders.warm_python import APPLICATION, WarmPython
from tests.builders.warm_steps import steps_in

# A shell's background job ignores SIGINT, and so would the commands that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# The workers of pytest-xdist say 80, which tables would follow.
os.environ.pop("COLUMNS", None)


@pytest.fixture(scope="session")
def atlas_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the tiny atlas."""
    return write_atlas(tmp_path_factory.mktemp("atlas"))


@pytest.fixture(scope="session")
def atlas_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the fields of the tiny atlas are kept."""
    return tmp_path_factory.mktemp("atlas-cache")


@pytest.fixture(scope="session")
def atlas(atlas_folder: Path, atlas_cache: Path) -> Atlas:
    """The tiny atlas, loaded once."""
    return load_atlas(atlas_folder, cache=atlas_cache)


@pytest.fixture(scope="session")
def mesh_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The meshes of the tiny atlas's vertebrae."""
    return write_meshes(tmp_path_factory.mktemp("meshes"))


@pytest.fixture(scope="session")
def people_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two other people, one of them excluded from training."""
    folder = tmp_path_factory.mktemp("people")
    write_person(folder / "other", "C7", 1.2)
    write_person(folder / EVALUATION_PEOPLE[0], "C5", 1.1)
    return folder


@pytest.fixture(scope="session")
def solid_people(mesh_folder: Path, people_folder: Path, atlas_cache: Path) -> People:
    """The vertebrae of all people, loaded once."""
    return load_people(mesh_folder, people_folder, atlas_cache)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> TrainedModel:
    """A model of two folds, trained by nnU-Net on the tiny dataset; whoever changes it takes a copy."""

    def train() -> TrainedModel:
        with steps_in(request.getfixturevalue("warm_study")):  # not for a worker that finds the model made
            return train_tiny_model(tmp_path_factory.mktemp("trained"))

    return made_once(tmp_path_factory, "trained", train)


@pytest.fixture(scope="session")
def solid_forms(tmp_path_factory: pytest.TempPathFactory) -> SpineForms:
    """The vertebrae of a spine as simple solids."""
    return made_once(tmp_path_factory, "solid-forms", parametric_forms)


@pytest.fixture(scope="session")
def bright_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the bright model."""
    folder = tmp_path_factory.mktemp("models") / "bright"
    bright_task(folder, folder)
    return folder


@pytest.fixture(scope="session")
def neck_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the first stage of the shipped model, which sees the small neck in one patch."""
    return write_neck_model(tmp_path_factory.mktemp("models") / "neck")


@pytest.fixture(scope="session")
def bright_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with one vertebra."""
    folder = tmp_path_factory.mktemp("in") / "a"
    write_bright_study(folder, "a")
    return folder


@pytest.fixture(scope="session")
def warm_app() -> Iterator[WarmPython]:
    """Python with the libraries of the application loaded."""
    with WarmPython(*APPLICATION) as python:
        yield python


@pytest.fixture(scope="session")
def warm_study() -> Iterator[WarmPython]:
    """Python with the libraries of a study and of nnU-Net loaded."""
    with WarmPython("tests.builders.warm_study") as python:
        yield python


@pytest.fixture
def untouched_logging() -> Iterator[None]:
    """Give the package's logger back as it was: the command line sends it to standard error."""
    log = logging.getLogger("cspine")
    before = (log.handlers[:], log.level, log.propagate)
    yield
    log.handlers[:], log.level, log.propagate = before


#: Files that take longest: workers begin with them, so that none is left alone with one at the end.
_LONGEST = (
    "examples/test_study.py",
    "app/test_application.py",
    "operators/test_documentation.py",
    "study/training/test_train.py",
    "cli/test_predict.py",
    "pipeline/test_study.py",
    "cohort/test_ray_pool.py",
    "cli/test_synthesize.py",
    "cli/test_run.py",
    "cli/test_evaluate.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first, for `pytest -n 2 --dist loadfile --no-loadscope-reorder`."""
    folder = Path(__file__).parent
    order = {folder / name: index for index, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: order.get(item.path, len(order)))
