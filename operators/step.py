"""What all operators share: ports that need no receiver, and errors that keep their codes."""

from __future__ import annotations

from typing import Any

from cspine.core.errors import CSpineError, as_defect
from cspine.operators.sdk import (
    ConditionType,
    ExecutionContext,
    Fragment,
    InputContext,
    Operator,
    OperatorSpec,
    OutputContext,
)

#: Ports that the SDK's operators call the same.
STUDIES = "study_selected_series_list"
IMAGE = "image"
SEG_IMAGE = "seg_image"
#: Ports of cspine alone.
PREDICTION = "prediction"
SEG_FILE = "seg_file"
MEASUREMENTS = "measurements"
SUMMARY = "summary"
OUTPUT_FILE = "output_file"
SURFACE_FILES = "surface_files"


class StepOperator(Operator):  # type: ignore[misc]
    """An operator that makes one object of what it receives.

    Subclasses name their ports, declare further ones in `setup`, and do their step in `work`. An error is raised as a
    `CSpineError` with its code, and kept in `failure`: Holoscan passes on no more than that there was one.

    Parameters
    ----------
    fragment : Fragment
        The application.
    *args, **kwargs
        What Holoscan's `Operator` takes: conditions, resources, and ``name``.
    """

    #: Names of the input ports that have to be connected, and of the output port.
    inputs: tuple[str, ...] = ()
    output = ""

    def __init__(self, fragment: Fragment, *args: Any, **kwargs: Any) -> None:
        self.failure: CSpineError | None = None
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the input ports and the output port, which may stay unconnected.

        Parameters
        ----------
        spec : OperatorSpec
            Holoscan's specification of the operator, to which the ports are added.
        """
        for port in self.inputs:
            spec.input(port)
        spec.output(self.output).condition(ConditionType.NONE)

    def compute(self, op_input: InputContext, op_output: OutputContext, context: ExecutionContext) -> None:
        """Do the step and emit its result.

        Parameters
        ----------
        op_input, op_output : InputContext, OutputContext
            Ports of the operator.
        context : ExecutionContext
            Not used.

        Raises
        ------
        CSpineError
            Whatever the step raises; the error of cspine, or one that names the type of another exception only.
        """
        try:
            result = self.work(op_input)
        except Exception as unforeseen:
            self.failure = as_defect(unforeseen)
            # Holoscan prints what is raised here: nothing of a foreign exception's text may get there.
            raise self.failure from None
        op_output.emit(result, self.output)

    def work(self, op_input: InputContext) -> Any:
        """Receive what the input ports hold, do the step, return what the output port emits.

        Parameters
        ----------
        op_input : InputContext
            Input ports of the operator, read by ``op_input.receive(name)``.

        Returns
        -------
        object
            What the output port emits.
        """
        raise NotImplementedError(f"{type(self).__name__} has no step")
