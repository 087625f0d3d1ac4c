"""CT reader: decodes the pixels of the selected series into a volume in Hounsfield units."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cspine.operators.domain import CtImage, Provenance, provenance_of
from cspine.operators.sdk import Fragment, InputContext
from cspine.operators.step import IMAGE, STUDIES, StepOperator
from cspine.operators.studies import chosen_series, first_study, sort_instances
from cspine.pipeline import steps


class CtReaderOperator(StepOperator):
    """Read the selected series as a volume on a regular grid, or refuse it with a code.

    It replaces the SDK's series to volume operator. Like that one it puts the SOP instances of the selected series in
    the order of the volume's slices: writers that bind frames by their position in the list then bind the right ones.

    Named input:
        study_selected_series_list: list of StudySelectedSeries, of cspine's loader or the SDK's selector. The first
            selected series of the first study is read, from the files that its instances came from.

    Named output:
        image: Image (a `CtImage`) of Hounsfield units, int16 or float32 (z, y, x), ``affine`` in its metadata.

    Parameters
    ----------
    fragment : Fragment
        The application.
    *args, **kwargs
        What Holoscan's `Operator` takes: conditions, resources, and ``name``.
    repair_gaps : bool
        Read the longest regular part of a series with gaps.
    """

    inputs = (STUDIES,)
    output = IMAGE

    def __init__(self, fragment: Fragment, *args: Any, repair_gaps: bool = False, **kwargs: Any) -> None:
        self.repair_gaps = repair_gaps
        super().__init__(fragment, *args, **kwargs)

    def work(self, op_input: InputContext) -> CtImage:
        """Read the pixels."""
        studies = op_input.receive(STUDIES)
        before = provenance_of(first_study(studies))
        settings = replace(before.settings, repair_gaps=self.repair_gaps)
        watch = before.stopwatch()
        with watch.step("read"):
            ct = steps.read_ct(chosen_series(studies), settings)
        if ct.source is not None:
            sort_instances(studies, ct.source)
        return CtImage(ct, Provenance(settings, watch.seconds))
