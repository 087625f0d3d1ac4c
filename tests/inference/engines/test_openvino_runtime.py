"""Telemetry: OpenVINO's package for it is installed here, and must be neither loaded nor used."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import socket, sys

def refuse(*_):
    raise AssertionError("a connection was opened")

socket.socket.connect = refuse
from cspine.inference.engines.openvino_runtime import core
core()
import openvino
loaded = [name for name in sys.modules if "telemetry" in name or name.startswith("openvino.tools")]
import threading
print(loaded, threading.active_count(), "torch" in sys.modules)
"""


def test_openvino_is_loaded_without_its_tools_and_without_telemetry(tmp_path):
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path)}
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment)
    assert result.stdout.strip() == "[] 1 False", result.stderr
    assert list(tmp_path.iterdir()) == []  # telemetry would have left its consent here


def test_what_was_withheld_can_be_imported_afterwards():
    program = (
        "from cspine.inference.engines.openvino_runtime import load_openvino; load_openvino();"
        "import importlib.util; print(importlib.util.find_spec('openvino_telemetry') is not None)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


THREADS = """
import threading
from cspine.inference.engines.openvino_runtime import core

start, found = threading.Barrier(8), []

def use():
    start.wait()
    found.append(core())

threads = [threading.Thread(target=use) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(found), len({id(each) for each in found}))
"""


def test_threads_that_use_it_first_at_once_have_one_core():
    result = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True)
    assert result.stdout.split() == ["8", "1"], result.stderr
