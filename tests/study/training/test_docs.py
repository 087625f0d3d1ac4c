"""docs/guide/training.md says what the code does, where it can be compared."""

import re
from pathlib import Path

from cspine.cli.predict import command as predict
from cspine.cli.train import command as train
from cspine.cli.train_options import NAMES
from cspine.study.prediction.prediction import COLUMNS
from cspine.study.training.needs import _CHECKPOINTS_GB, _ON_A100
from cspine.study.training.settings import CONFIGURATIONS, PRESETS

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "guide" / "training.md").read_text(encoding="utf-8")


def test_every_option_of_a_dataset_is_explained_and_no_other():
    options = {"--" + name.replace("_", "-") for name in NAMES} - {"--preset"}
    assert set(re.findall(r"`(--[a-z-]+)`", TEXT)) >= options
    known = {option for command in (train, predict) for parameter in command.params for option in parameter.opts}
    assert set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", TEXT)) <= known


def test_every_preset_and_configuration_is_named():
    for name in (*PRESETS, *CONFIGURATIONS):
        assert f"`{name}`" in TEXT


def test_the_numbers_of_the_estimate_are_those_of_the_code():
    hours, memory = zip(*_ON_A100.values(), strict=True)
    assert f"{hours[0]} h for the\n  default plans, {hours[1]}, {hours[2]} and {hours[3]} h" in TEXT
    assert f"{memory[0]}, {memory[1]}, {memory[2]} and {memory[3]} GB" in TEXT
    assert f"{_CHECKPOINTS_GB['default']} GB ({_CHECKPOINTS_GB['resenc-m']} GB" in TEXT


def test_the_columns_of_the_predictions_are_documented():
    (row,) = (line for line in TEXT.splitlines() if "predictions.csv`" in line)
    assert [column for column in COLUMNS if column not in row] == []
