"""The entry point of the image, run on this machine with other folders."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[3] / "deploy" / "map" / "entrypoint.sh"


def _start(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    known = {"PATH": os.environ["PATH"], "HOLOSCAN_OUTPUT_PATH": "/", "HOLOSCAN_APPLICATION": "-c"}
    return subprocess.run(
        ["/bin/sh", str(SCRIPT), *words], env=known | environment, capture_output=True, text=True, check=False
    )


def test_help_names_every_command() -> None:
    output = _start("help")
    assert output.returncode == 0
    for command in ("show", "extract", "env", "doctor", "serve-pacs"):
        assert command in output.stdout


def test_env_prints_the_environment() -> None:
    assert "HOLOSCAN_APPLICATION=-c" in _start("env").stdout.splitlines()


def test_the_exit_code_of_a_command_is_returned() -> None:
    assert _start("sh", "-c", "exit 9").returncode == 9


def test_without_a_mounted_output_the_application_does_not_start() -> None:
    refused = _start()
    assert refused.returncode == 10
    assert "CS-OUT-001" in refused.stderr
    assert "mount" in refused.stderr


def test_a_mounted_output_starts_the_application_with_its_arguments(tmp_path: Path) -> None:
    program = tmp_path / "application.py"
    program.write_text("import sys; print(sys.argv[1:]); sys.exit(4)")
    started = _start("--log", "x", HOLOSCAN_OUTPUT_PATH="/proc", HOLOSCAN_APPLICATION=str(program))
    assert started.stdout.strip() == "['--log', 'x']"
    assert started.returncode == 4


def test_extract_asks_for_a_folder_that_can_be_written() -> None:
    refused = _start("extract", HOLOSCAN_CONFIG_PATH="x")
    assert refused.returncode == 10
    assert "/var/run/holoscan/export" in refused.stderr
