"""The steps of docs/guide/deployment.md for a plain PACS go with the files of deploy/pacs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from cspine.service.config import load_config

ROOT = Path(__file__).parents[2]
PACS = ROOT / "deploy" / "pacs"
GUIDE = (ROOT / "docs" / "guide" / "deployment.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["listener.yaml", "polling.yaml"])
def test_the_configuration_names_the_model_that_the_guide_installs(name: str) -> None:
    installed = re.search(r"models install RESULTS --name (\S+) --into (/etc/\S+)", GUIDE)
    assert installed is not None
    assert load_config(PACS / name).run.model == f"{installed[2]}/{installed[1]}"


@pytest.mark.parametrize("name", ["listener.yaml", "polling.yaml"])
def test_a_trial_needs_the_lines_of_the_comment_alone(name: str, tmp_path: Path) -> None:
    text = (PACS / name).read_text(encoding="utf-8")
    trial = tmp_path / name
    trial.write_text(re.sub(r"^  model:.*\n", "", text.replace("  # allow_", "  allow_"), flags=re.MULTILINE))
    run = load_config(trial).run
    assert run.model is None and run.allow_demonstration
    assert yaml.safe_load(text)["run"].keys() & {"model", "allow_demonstration"} == {"model"}


def test_the_unit_and_the_guide_name_the_same_places() -> None:
    unit = (PACS / "cspine-serve-pacs.service").read_text(encoding="utf-8")
    command = re.search(r"^ExecStart=(.+)$", unit, re.MULTILINE)
    assert command is not None and command[1] in GUIDE
