"""What every operator of cspine shares: the job it works on, its timing, and how its errors reach the application."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from holoscan.core import ExecutionContext, InputContext, OutputContext
from monai.deploy.core import Fragment, Operator, OperatorSpec

from cspine.core.errors import CSpineError, as_defect
from cspine.models.package import ModelPackage
from cspine.pipeline.settings import RunSettings
from cspine.pipeline.stopwatch import Stopwatch
from cspine.report.summary import Summary


@dataclass
class Job:
    """One study on its way through the operators.

    Parameters
    ----------
    input_folder : Path
        Folder with the files of the study.
    package : ModelPackage
        The model.
    settings : RunSettings
        Settings of the run.
    staging : Path
        Folder in which the results are made.
    watch : Stopwatch
        Seconds of the steps.
    summary : Summary, optional
        What was written, once all is.
    failure : CSpineError, optional
        The error that ended the job.
    """

    input_folder: Path
    package: ModelPackage
    settings: RunSettings
    staging: Path
    watch: Stopwatch = field(default_factory=Stopwatch)
    summary: Summary | None = None
    failure: CSpineError | None = None


class StepOperator(Operator):  # type: ignore[misc]
    """An operator that takes the messages of its input ports, calls one step, and emits what it gives.

    Subclasses name their ports and the step in `inputs`, `output` and `work`.
    """

    #: Names of the input ports, in the order of the arguments of `work`.
    inputs: tuple[str, ...] = ()
    #: Name of the output port; empty for the last operator.
    output: str = ""
    #: What the step is called in log and summary; empty where `work` times itself.
    step: str = ""

    def __init__(self, fragment: Fragment, *args: Any, job: Job, **kwargs: Any) -> None:
        self.job = job
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the ports."""
        for port in self.inputs:
            spec.input(port)
        if self.output:
            spec.output(self.output)

    def compute(self, op_input: InputContext, op_output: OutputContext, context: ExecutionContext) -> None:
        """Take the messages, do the step, emit its result; keep an error for the application's exit code."""
        messages = [op_input.receive(port) for port in self.inputs]
        try:
            if self.step:
                with self.job.watch.step(self.step):
                    result = self.work(*messages)
            else:
                result = self.work(*messages)
        except Exception as unforeseen:
            self.job.failure = as_defect(unforeseen)
            # Holoscan prints what is raised here: nothing of a foreign exception's text may get there.
            raise self.job.failure from None
        if self.output:
            op_output.emit(result, self.output)

    def work(self, *messages: Any) -> Any:
        """Do the step on the messages of the input ports."""
        raise TypeError(f"{type(self).__name__} does not say what it does")
