"""A summary of the phantom's result, as a run makes it."""

from __future__ import annotations

from collections.abc import Sequence

from cspine.core.findings import Finding
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.measurements.vertebra import measure_vertebrae
from cspine.report.summary import (
    InputSummary,
    SeriesSummary,
    Summary,
    finding_summaries,
    model_summary,
    vertebra_summaries,
)


def phantom_summary(labels: LabelVolume, ct: CtVolume, findings: Sequence[Finding] = ()) -> Summary:
    """Return the summary of labels, with a series and findings."""
    assert labels.model is not None
    series = SeriesSummary(series="0123456789ab", chosen=True, modality="CT", instances=90, reasons=["thin <slices>"])
    return Summary(
        cspine_version="0.1.0",
        clock="2024-01-02T00:00:00+00:00",
        input=InputSummary(
            study="ba9876543210", series=series.series, decisions=[series], slices=90, spacing_mm=(1.0, 1.0, 3.0),
            repairs=["A slice was interpolated."],
        ),
        model=model_summary(labels.model),
        settings={"folds": "all"},
        device="cpu",
        vertebrae=vertebra_summaries(measure_vertebrae(labels, ct), [(1, "C1")]),
        findings=finding_summaries(findings),
        warnings=[],
        outputs=[],
        timings_s={"infer": 12.5},
        versions={"python": "3.11.7"},
    )  # fmt: skip
