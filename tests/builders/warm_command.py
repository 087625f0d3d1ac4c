"""A command for scripts of the shell: it asks a socket to run its words in a `WarmPython`, which starts at once."""

from __future__ import annotations

import json
import os
import socketserver
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from tests.builders.warm_python import WarmPython

_ASK = Path(__file__).with_name("ask_warm_python.py")


@contextmanager
def warm_command(python: WarmPython, module: str, socket: Path) -> Iterator[str]:
    """Yield the words that run ``python -m MODULE`` in a `WarmPython`, with the environment of who runs them."""

    class Answer(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            job = json.loads(self.rfile.readline())
            done = python.run(["-m", module, *job["words"]], cwd=Path(job["cwd"]), environment=job["environment"])
            self.wfile.write(json.dumps([done.returncode, done.stdout, done.stderr]).encode())

    with socketserver.UnixStreamServer(os.fspath(socket), Answer) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1})
        thread.start()
        try:
            yield f"{sys.executable} -I -S {_ASK} {socket}"
        finally:
            server.shutdown()
            thread.join()
