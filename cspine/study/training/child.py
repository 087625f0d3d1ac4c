"""A process of its own for steps of a training: `python -m cspine.study.training.child RUN DATASET plan`, for example.

The command starts it with nnU-Net's environment. What nnU-Net prints goes to a log file per step.
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from cspine.io.signals import unwind_on_sigterm

#: Up to so many helper processes are threads instead.
_FEW = 2


def main(arguments: list[str]) -> None:
    """Run the steps; an exception ends the process, and its last line in the log says why."""
    unwind_on_sigterm()
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("dataset")
    parser.add_argument("steps", nargs="+")
    parser.add_argument("--device", required=True)
    parser.add_argument("--processes", type=int, required=True)
    options = parser.parse_args(arguments)

    from cspine.study.training import nnunet_steps
    from cspine.study.training.run_folder import RunFolder, read_settings
    from cspine.study.training.threads import pools_as_threads

    folder, settings = RunFolder(options.run, options.dataset), read_settings(options.run)
    helpers: AbstractContextManager[None] = pools_as_threads() if options.processes <= _FEW else nullcontext()
    with helpers:
        for step in options.steps:
            _print_to(folder.log(step))
            kind, *words = step.split()
            if kind == "plan":
                nnunet_steps.plan(folder, settings, options.processes)
            elif kind == "preprocess":
                nnunet_steps.preprocess(folder, settings, words[0], options.processes)
            else:
                nnunet_steps.train_fold(folder, settings, words[0], words[1], options.device, options.processes)
            folder.mark_done(step)


def _print_to(log: Path) -> None:
    """Let all that this process and its helpers print go to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


if __name__ == "__main__":
    main(sys.argv[1:])
