"""The operators are wired as the pipeline's steps: ports that fit, in one order."""

import pytest

pytest.importorskip("holoscan")

from operators.ct_reader import CtReaderOperator
from operators.dicom_seg_writer import DicomSegWriterOperator
from operators.dicom_series_loader import DicomSeriesLoaderOperator
from operators.nnunet_inference import NnunetInferenceOperator
from operators.postprocessing import PostprocessingOperator
from operators.report_writer import ReportWriterOperator

ORDER = (
    DicomSeriesLoaderOperator,
    CtReaderOperator,
    NnunetInferenceOperator,
    PostprocessingOperator,
    DicomSegWriterOperator,
    ReportWriterOperator,
)


def test_each_operator_takes_what_those_before_it_give():
    given: set[str] = set()
    for operator in ORDER:
        assert set(operator.inputs) <= given
        given.add(operator.output)


def test_each_output_has_one_maker_and_only_the_last_operator_has_none():
    outputs = [operator.output for operator in ORDER]
    assert len(set(outputs)) == len(outputs)
    assert outputs.index("") == len(outputs) - 1


@pytest.mark.parametrize("operator", ORDER, ids=lambda o: o.__name__)
def test_work_takes_one_argument_a_port(operator):
    assert operator.work.__code__.co_varnames[1 : operator.work.__code__.co_argcount] == operator.inputs
