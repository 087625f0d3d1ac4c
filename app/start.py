"""Start the application as a process: options first, then the libraries, then one study."""

from __future__ import annotations

import os
import resource
import sys

from cspine.app.options import read_settings
from cspine.core.errors import UsageError
from cspine.io.console import print_error
from cspine.io.privacy import withhold_foreign_texts

#: Holoscan warns of less.
_STACK_BYTES = 32 * 2**20


def main() -> None:
    """Run the application and exit with the code that says what happened."""
    withhold_foreign_texts()
    try:
        read_settings(sys.argv[1:], os.environ)
    except UsageError as error:
        print_error(error)
        sys.exit(error.exit_code)
    _raise_stack_limit()

    from cspine.app.app import CSpineApp
    from cspine.app.study import reported

    with reported():
        CSpineApp().run()


def _raise_stack_limit() -> None:
    """Raise the stack limit to what Holoscan requires, if it may be raised."""
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    if soft != resource.RLIM_INFINITY and soft < _STACK_BYTES:
        enough = hard == resource.RLIM_INFINITY or hard >= _STACK_BYTES
        resource.setrlimit(resource.RLIMIT_STACK, (_STACK_BYTES if enough else hard, hard))
