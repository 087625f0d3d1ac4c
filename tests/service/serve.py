"""`cspine serve-pacs` with a run that takes no model: python -m tests.service.serve FACTORY CONFIG."""

from __future__ import annotations

import sys

from cspine.cli import main as entry
from cspine.service import service
from tests.service import fake_runs

if __name__ == "__main__":
    factory = getattr(fake_runs, sys.argv.pop(1))
    service.Service.__init__.__defaults__ = (factory, *service.Service.__init__.__defaults__[1:])  # type: ignore[index]
    sys.argv[:1] = ["cspine", "serve-pacs"]
    entry.main()
