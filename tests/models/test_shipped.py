"""The packages that ship are complete: a changed file, such as the card, needs its checksum in the manifest."""

from pathlib import Path

import pytest

from cspine.models.calibration import Calibration
from cspine.models.package import load_package

SHIPPED = sorted(path.parent for path in (Path(__file__).parents[2] / "models").glob("*/model.yaml"))


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_a_shipped_package_has_the_files_that_its_manifest_names(folder: Path) -> None:
    assert load_package(folder).manifest.name == folder.name


def test_there_are_two() -> None:
    assert [folder.name for folder in SHIPPED] == ["cervical-demo", "full-spine-demo"]


def test_the_calibration_that_ships_is_that_of_the_package() -> None:
    folder = SHIPPED[0]
    record = Calibration.model_validate_json((folder.parent / f"{folder.name}.calibration.json").read_text("utf-8"))
    assert record.checksum == load_package(folder).identity.checksum
