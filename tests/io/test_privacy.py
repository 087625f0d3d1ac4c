"""What libraries print by themselves carries no text of theirs."""

from __future__ import annotations

import subprocess
import sys

import pytest

_SECRET = "SECRET^NAME"


def _run(code: str) -> str:
    start = "from cspine.io.privacy import withhold_foreign_texts; withhold_foreign_texts()\n"
    done = subprocess.run([sys.executable, "-c", start + code], capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    "code",
    [
        f"import warnings; warnings.warn('value {_SECRET} is invalid')",
        f"import logging; logging.getLogger('pydicom').warning('value %s', '{_SECRET}')",
        f"import logging; logging.getLogger().error('{_SECRET}')",
        f"import logging; logging.basicConfig(level=0); logging.getLogger('monai.deploy').info('{_SECRET}')",
        f"raise ValueError('{_SECRET}')",
        f"try:\n    int('{_SECRET}')\nexcept ValueError as error:\n    raise RuntimeError('x') from error",
        f"import threading\ndef fail(): raise ValueError('{_SECRET}')\nthreading.Thread(target=fail).start()",
        f"class A:\n    def __del__(self): raise ValueError('{_SECRET}')\na = A()\ndel a",
    ],
)
def test_the_text_of_a_library_is_withheld_and_its_origin_reported(code: str) -> None:
    output = _run(code)
    assert output.strip()
    assert _SECRET not in output and "SECRET" not in output


def test_messages_of_cspine_pass() -> None:
    assert "all is well" in _run("import logging; logging.getLogger('cspine.run').warning('all is well')")


def test_a_repeated_warning_is_shown_once_for_each_place() -> None:
    warn = "import warnings\nfor value in range(5): warnings.warn(f'value {value}')\nwarnings.warn('value 6')"
    assert len(_run(warn).splitlines()) == 2
    log = "import logging\nfor value in range(5): logging.getLogger('pydicom').warning('value %d', value)"
    assert len(_run(log).splitlines()) == 1


def test_the_stack_size_that_applications_alone_need_is_not_warned_of() -> None:
    assert _run("import warnings; warnings.warn('Current stack size (8.0 MB) is small', RuntimeWarning)") == ""
