"""A change of the code that decides about a result is a change of the edition."""

from __future__ import annotations

import shutil
from pathlib import Path

import cspine
from cspine.study.edition import DECIDING, edition

PACKAGE = Path(cspine.__file__).parent


def test_what_decides_is_there() -> None:
    assert [name for name in DECIDING if not (PACKAGE / name).exists()] == []
    assert len(edition()) == 64


def test_a_change_of_deciding_code_changes_it_and_of_other_code_does_not(tmp_path: Path) -> None:
    editions = []
    for number, changed in enumerate((None, "inference/predict.py", "study/audits/anatomy_checks.py", "cli/audit.py")):
        copy = tmp_path / str(number)
        shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        if changed is not None:
            (copy / changed).write_text("changed")
        editions.append(edition(copy))
    assert editions[0] == editions[3] == edition()
    assert len(set(editions)) == 3
