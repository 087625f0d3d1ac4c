"""The model card of a trained model: its data, how it was trained, validation, licences, use and limits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean, pstdev, stdev

from cspine.study.datasets.case_table import CaseRow
from cspine.study.training.cases import TrainingCases
from cspine.study.training.settings import TrainingSettings
from cspine.study.training.validation import FoldScores, scores_table

_UNKNOWN = "not established"
#: Licences of the public data sets, by how the name of a source begins (docs/guide/datasets.md).
_LICENCES = {
    "VerSe": "CC BY-SA 4.0",
    "TotalSegmentator": "CC BY 4.0",
    "CTSpine1K": f"{_UNKNOWN} (CTSpine1K)",
    "COLONOG": f"{_UNKNOWN} (masks of CTSpine1K)",
    "HNSCC-3DCT-RT": f"{_UNKNOWN} (masks of CTSpine1K; images: TCIA's terms)",
    "COVID-19": f"{_UNKNOWN} (masks of CTSpine1K)",
    "MSD": f"{_UNKNOWN} (masks of CTSpine1K; images: CC BY-SA 4.0)",
}


def licence_of(source: str) -> str:
    """Return the licence of a data set, or that it is not established."""
    return next((licence for start, licence in _LICENCES.items() if source.startswith(start)), _UNKNOWN)


def licences_sentence(rows: Iterable[CaseRow]) -> str:
    """Return in a sentence what the licences of the training data ask of a model."""
    licences = [f"{source}: {licence_of(source)}" for source in sorted({row.source for row in rows})]
    return (
        f"Not granted here. The data that the model was trained on: {'; '.join(licences)}. Whoever distributes the "
        "model establishes what follows from them; where a licence is not established, ask its owners first."
    )


def data_sentence(cases: TrainingCases) -> str:
    """Return the training data in a sentence."""
    sources = {source: sum(row.source == source for row in cases.rows) for source in {r.source for r in cases.rows}}
    counts = ", ".join(f"{count} of {source}" for source, count in sorted(sources.items()))
    patients = len({row.patient for row in cases.rows})
    return f"{len(cases.rows)} CT images of {patients} patients ({counts}) of {cases.folder.root.resolve().name}."


def card_sections(
    cases: TrainingCases, settings: TrainingSettings, plans_text: str, scores: Sequence[FoldScores], command: str
) -> str:
    """Return the sections that follow the general card: data, training, validation.

    Parameters
    ----------
    cases : TrainingCases
        The training cases.
    settings : TrainingSettings
        How.
    plans_text : str
        Network and grid, in words.
    scores : sequence of FoldScores
        Of the configuration that ends the model.
    command : str
        What made it.
    """
    length = [
        f"{value} {name}"
        for value, name in (
            (settings.epochs, "epochs"),
            (settings.iterations, "iterations per epoch"),
            (settings.validation_iterations, "validation patches' batches per epoch"),
        )
        if value is not None
    ]
    split = cases.split or "the dataset is not split"
    return f"""
## Training data in numbers

{data_table(cases.rows)}

{levels_table(cases)}

Split (SHA-256): `{split}`

## Training

- `{command}`
- nnU-Net v2 (Isensee et al., Nature Methods 2021), trainer {settings.trainer}, plans {settings.plans_name}
- {plans_text}
- length: {", ".join(length) or "the trainer's own (nnUNetTrainer: 1000 epochs of 250 iterations)"}
- mirrored patches: {"yes" if settings.mirror else "no"}
- folds: {", ".join(cases.folds)}

## Validation

Dice of nnU-Net's own validation: each fold on the cases that it was not trained on, before postprocessing. A level \
that a case lacks and that was not predicted there counts in no mean; one that was predicted there counts as 0.\
{" This fold was trained on all cases: its numbers say nothing about others." if cases.folds == ("all",) else ""}

{scores_table(scores, cases.labels)}
"""


def data_table(rows: Sequence[CaseRow]) -> str:
    """Return patients, cases, age, sex and spacing by source as a Markdown table."""
    lines = [
        "| source | patients | cases | age, years | male | spacing x, y, z mm, median (range) | licence |",
        "|---|---|---|---|---|---|---|",
    ]
    sources = sorted({row.source for row in rows})
    for source in [*sources, *(["all"] if len(sources) > 1 else [])]:
        part = [row for row in rows if source in (row.source, "all")]
        licence = "" if source == "all" else licence_of(source)
        patients = len({row.patient for row in part})
        lines.append(
            f"| {source} | {patients} | {len(part)} | {_age(part)} | {_male(part)} | {_spacing(part)} | {licence} |"
        )
    return "\n".join(lines)


def levels_table(cases: TrainingCases) -> str:
    """Return how many cases show each level, complete or truncated, as a Markdown table."""
    names = [level.name for level in cases.labels.levels]
    shown = {name: sum(name in row.levels for row in cases.rows) for name in names}
    cut = {name: sum(name in row.partial for row in cases.rows) for name in names}
    there = [name for name in names if shown[name]]
    return "\n".join(
        [
            f"| level | {' | '.join(there)} |",
            "|---" * (len(there) + 1) + "|",
            f"| cases | {' | '.join(str(shown[name]) for name in there)} |",
            f"| truncated by the edge | {' | '.join(str(cut[name]) for name in there)} |",
        ]
    )


def _age(rows: Sequence[CaseRow]) -> str:
    known = {row.patient: row.age_years for row in rows if row.age_years is not None}
    if not known:
        return "not known"
    ages = list(known.values())
    spread = stdev(ages) if len(ages) > 1 else pstdev(ages)
    return f"{fmean(ages):.0f} +- {spread:.0f} (n = {len(ages)})"


def _male(rows: Sequence[CaseRow]) -> str:
    known = {row.patient: row.sex for row in rows if row.sex}
    if not known:
        return "not known"
    return f"{sum(sex == 'M' for sex in known.values()) / len(known):.0%} (n = {len(known)})"


def _spacing(rows: Sequence[CaseRow]) -> str:
    directions = []
    for axis in range(3):
        steps = sorted(row.spacing_mm[axis] for row in rows)
        directions.append(f"{steps[len(steps) // 2]:.2f} ({steps[0]:.2f}..{steps[-1]:.2f})")
    return ", ".join(directions)
