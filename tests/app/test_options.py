"""The options of the application: command line before environment before default, and one table of them everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from cspine.app.options import OPTIONS, options_table, read_settings
from cspine.core.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]


def test_an_option_goes_before_the_environment_and_that_before_the_default() -> None:
    environment = {"CSPINE_SEG_TYPE": "labelmap", "CSPINE_DEVICE": "cpu"}
    settings = read_settings(["--device", "cuda:1"], environment)
    assert (settings.seg_type, settings.text("device"), settings.precision) == ("labelmap", "cuda:1", "auto")


@pytest.mark.parametrize(
    ("arguments", "environment", "on"),
    [([], {}, True), ([], {"CSPINE_SOLVE_LEVELS": "0"}, False), (["--no-solve-levels"], {}, False),
     (["--solve-levels"], {"CSPINE_SOLVE_LEVELS": "0"}, True)],
)  # fmt: skip
def test_a_switch_is_one_or_zero_or_an_option(arguments: list[str], environment: dict[str, str], on: bool) -> None:
    assert read_settings(arguments, environment).is_on("solve_levels") is on


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [(["--seg-type", "fractional"], {}), ([], {"CSPINE_PRECISION": "float8"}), ([], {"CSPINE_MIRROR": "yes"}),
     (["--seg-typ", "binary"], {}), (["study"], {}), ([], {"CSPINE_LOG_LEVEL": "LOUD"})],
)  # fmt: skip
def test_what_is_unknown_is_refused(arguments: list[str], environment: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        read_settings(arguments, environment)


def test_numbers_folds_and_paths_are_read() -> None:
    settings = read_settings(["--folds", "0, 2", "--step-size", "0.7", "--rules", "rules.yaml"], {})
    assert settings.folds() == ("0", "2") and settings.step_size() == 0.7
    assert settings.path("rules") == Path.cwd() / "rules.yaml" and settings.path("model") is None
    with pytest.raises(UsageError):
        read_settings(["--step-size", "half"], {}).step_size()
    with pytest.raises(UsageError):
        read_settings(["--folds", "first"], {}).folds()


def test_the_sdk_is_given_only_paths_that_exist(tmp_path: Path) -> None:
    settings = read_settings(["-i", str(tmp_path), "-m", str(tmp_path / "none"), "-o", str(tmp_path / "out")], {})
    assert settings.sdk_arguments()[1:] == ["--log-level", "ERROR", "--input", str(tmp_path)]
    assert settings.output == tmp_path / "out"


def test_the_documentation_and_app_yaml_name_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs" / "guide" / "monai-developers.md").read_text()
    assert f"<!-- options -->\n{options_table()}\n<!-- end of options -->" in page
    for option in OPTIONS:
        assert option.variable in (ROOT / "app.yaml").read_text()
    with pytest.raises(SystemExit) as ended:
        read_settings(["--help"], {})
    output = capsys.readouterr().out
    assert ended.value.code == 0 and all(option.flag in output and option.variable in output for option in OPTIONS)
    assert yaml.safe_load((ROOT / "app.yaml").read_text())
