"""The operators as another application sees them: documented ports, parameters with types and defaults."""

from __future__ import annotations

import inspect
import re

import pytest

pytest.importorskip("holoscan")

from cspine import operators
from cspine.operators import studies
from cspine.operators.sdk import Application, Operator, OperatorSpec

OPERATORS = [getattr(operators, name) for name in operators.__all__]
_PORT = re.compile(r"^        (\w+): (.+)$", re.MULTILINE)


def documented(operator: type[Operator], heading: str) -> dict[str, str]:
    """Ports below a heading of the docstring, with what is said of them."""
    assert operator.__doc__ is not None
    section = re.search(rf"    Named {heading}s?:\n(.*?)\n\n", operator.__doc__, re.DOTALL)
    assert section is not None
    return dict(_PORT.findall(section[1]))


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.__name__)
def test_every_port_is_documented_with_its_type(operator: type[Operator]) -> None:
    application = Application()
    spec = operator(application, name="operator").spec
    assert isinstance(spec, OperatorSpec)
    assert set(documented(operator, "input")) == set(spec.inputs)
    assert set(documented(operator, "output")) == set(spec.outputs)
    for text in (*documented(operator, "input").values(), *documented(operator, "output").values()):
        assert re.match(r"(list of (one )?StudySelectedSeries|Image|DataPath|Path|Summary)\b", text), text


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.__name__)
def test_every_parameter_is_a_keyword_with_a_type_and_a_default(operator: type[Operator]) -> None:
    parameters = inspect.signature(operator.__init__).parameters.values()
    keywords = [each for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY]
    assert [each.name for each in parameters if each not in keywords] == ["self", "fragment", "args", "kwargs"]
    for each in keywords:
        assert each.annotation is not inspect.Parameter.empty and each.default is not inspect.Parameter.empty
        assert operator.__doc__ is not None and re.search(rf"\b{each.name}\b.* : ", operator.__doc__)


def test_the_ports_of_the_sdk_have_the_names_of_the_sdk() -> None:
    writer = pytest.importorskip("monai.deploy.operators.dicom_seg_writer_operator").DICOMSegmentationWriterOperator
    spec = writer(Application(), segment_descriptions=[], output_folder=None, name="writer").spec
    ours = {*documented(operators.PostprocessingOperator, "output"), *documented(operators.CtReaderOperator, "input")}
    assert ours == {"seg_image", "study_selected_series_list"} <= set(spec.inputs)
    assert studies.CtStudy.__mro__[1].__module__.startswith("monai.deploy")
