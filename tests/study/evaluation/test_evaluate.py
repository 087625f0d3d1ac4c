"""The options of an evaluation."""

from __future__ import annotations

import pytest

from cspine.core.errors import UsageError
from cspine.study.evaluation.evaluate import EvaluationOptions


@pytest.mark.parametrize("values", [{"jobs": 0}, {"jobs": "2"}, {"pictures": -1}, {"pictures": 1.5}])
def test_numbers_out_of_range_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        EvaluationOptions(**values)  # type: ignore[arg-type]


def test_a_number_may_be_omitted() -> None:
    assert (EvaluationOptions().jobs, EvaluationOptions(pictures=0).pictures) == (None, 0)
