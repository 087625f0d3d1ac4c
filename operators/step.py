"""The base of all operators of cspine: the job, its timing, and the way of errors to the application."""

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
        Model package.
    settings : RunSettings
        Settings of the run.
    staging : Path
        Folder in which the results are written.
    watch : Stopwatch
        Timing of the steps.
    summary : Summary, optional
        Summary of the run, set by the last operator.
    failure : CSpineError, optional
        Error that ended the job.
    """

    input_folder: Path
    package: ModelPackage
    settings: RunSettings
    staging: Path
    watch: Stopwatch = field(default_factory=Stopwatch)
    summary: Summary | None = None
    failure: CSpineError | None = None


class StepOperator(Operator):  # type: ignore[misc]
    """An operator that receives the messages of its input ports, calls one step, and emits the result.

    Subclasses name their ports and the step in `inputs`, `output` and `work`.
    """

    #: Names of the input ports, in the order of the arguments of `work`.
    inputs: tuple[str, ...] = ()
    #: Name of the output port; empty for the last operator.
    output: str = ""
    #: Name of the step in log and summary; empty if `work` is timed elsewhere.
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
        """Receive the messages, run the step and emit its result; keep an error for the application's exit code."""
        messages = [op_input.receive(port) for port in self.inputs]
        try:
            if self.step:
                with self.job.watch.step(self.step):
                    result = self.work(*messages)
            else:
                result = self.work(*messages)
        except Exception as unexpected:
            self.job.failure = as_defect(unexpected)
            # Holoscan prints what is raised here, so it must not contain the text of another library's exception.
            raise self.job.failure from None
        if self.output:
            op_output.emit(result, self.output)

    def work(self, *messages: Any) -> Any:
        """Return the result of the step for the messages of the input ports."""
        raise TypeError(f"{type(self).__name__} does not implement work")
