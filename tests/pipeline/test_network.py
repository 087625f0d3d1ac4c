"""No step of a run opens a connection: nothing is fetched, and nothing is reported to anyone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_CUT = """
import sys

def refuse(event, arguments):
    # urllib3 binds a loopback port when it is imported, to learn whether the system has IPv6.
    probes = event == "socket.bind" and arguments[1][0] == "::1"
    harmless = probes or event in ("socket.__new__", "socket.gethostname")
    if event.startswith("socket.") and not harmless:
        print("NETWORK", event, file=sys.stderr, flush=True)
        raise PermissionError(event)

sys.addaudithook(refuse)
{then}
"""
_RUN = "from cspine.cli.main import main; sys.argv[1:] = {arguments!r}; main()"


def _python(text: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _CUT.format(then=text)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=300)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["run", "series"])
def test_a_command_works_without_a_network(
    command: str, bright_study: Path, bright_model: Path, tmp_path: Path
) -> None:
    arguments = [command, str(bright_study)]
    if command == "run":
        arguments += [str(tmp_path / "out"), "--model", str(bright_model), "--device", "cpu"]
    done = _python(_RUN.format(arguments=arguments))
    assert done.returncode == 0, done.stderr
    assert "NETWORK" not in done.stderr
    assert command == "series" or (tmp_path / "out" / "dicom" / "segmentation.dcm").is_file()


@pytest.mark.parametrize(
    "call",
    [
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "import urllib.request as u; u.urlopen('http://x.invalid')",
    ],
)
def test_the_cut_is_one(call: str) -> None:
    done = _python(call)
    assert done.returncode == 1
    assert "NETWORK socket." in done.stderr
