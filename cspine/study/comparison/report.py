"""The report: one self-contained HTML page that loads nothing from a network."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, Template

import cspine
from cspine.dicom.clock import EPOCH_VARIABLE, Clock
from cspine.io.files import read_resource, write_atomic
from cspine.io.tables import counted
from cspine.study.comparison.conclusion import conclude
from cspine.study.comparison.methods import definitions
from cspine.study.comparison.paper import paper
from cspine.study.comparison.paper_beside import REMARK
from cspine.study.comparison.pictures import Picture
from cspine.study.comparison.plots import Plot
from cspine.study.comparison.reading import Evaluation
from cspine.study.comparison.results import Results
from cspine.study.comparison.statistics import VERDICTS
from cspine.study.comparison.table_files import Cell, Table
from cspine.study.comparison.words import subset_title

#: Stands in every report.
NOTICE = "Research use only; not a medical device."
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}


def write_report(
    results: Results, tables: Sequence[Table], plots: Sequence[Plot], pictures: Sequence[Picture], out: Path
) -> None:
    """Write OUT/report.html; the plots and pictures lie in OUT/plots already.

    Parameters
    ----------
    results : Results
        What was found.
    tables : sequence of Table
        For readers.
    plots, pictures : sequence
        What was drawn.
    out : Path
        The output folder.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    sections = _table_sections(tables)
    links = [("conclusion", "Conclusion"), ("compared", "What was compared")]
    links += [(section.id, section.title) for section in sections]
    links += [("plots", "Plots"), *([("worst", "Worst cases")] if pictures else [])]
    links.append(("methods", "Definitions and methods"))
    text = _template(_data_urls(out / "plots")).render(
        title=results.title,
        subtitle=_subtitle(results),
        links=links,
        conclusion=conclude(results),
        table_sections=sections,
        plots=plots,
        pictures=pictures,
        definitions=definitions(results),
        **_compared(results),
    )
    write_atomic(out / "report.html", lambda partial: partial.write_text(text + "\n", encoding="utf-8"))


def _template(data_url: Callable[[str], str]) -> Template:
    """Return the page, in which text is escaped: no title and no name of a case can become markup."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.globals.update(
        css=read_resource(__package__, "report.css"),
        policy=_POLICY,
        notice=NOTICE,
        verdicts=VERDICTS,
        is_text=_is_text,
        classed_rows=_classed_rows,
        data_url=data_url,
    )
    return environment.from_string(read_resource(__package__, "report.html"))


def _data_urls(folder: Path) -> Callable[[str], str]:
    """Return what turns the name of an image in a folder into a URL that holds its data."""

    def data_url(name: str) -> str:
        path = folder / name
        return f"data:{_TYPES[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"

    return data_url


def _subtitle(results: Results) -> str:
    when = f", {Clock.from_environment().moment:%Y-%m-%d}" if os.environ.get(EPOCH_VARIABLE, "").strip() else ""
    cases = counted(len(results.cohort.subset_of), "case")
    return f"{counted(len(results.titles), 'model')}, {cases}; cspine {cspine.__version__}{when}"


# --- what was compared ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Model:
    """Return a row of the table of models."""

    title: str
    package: str
    checksum: str
    counts: tuple[int, ...]
    failed: int


def _compared(results: Results) -> dict[str, Any]:
    cohort = results.cohort
    levels = [group.name for group in cohort.groups if group.single]
    return {
        "subset_heads": [f"Cases, {subset_title(subset)}" if subset else "Cases" for subset in cohort.subsets],
        "models": [
            _Model(
                model.title,
                *_identity(model),
                tuple(len(cohort.cases(subset, model)) for subset in cohort.subsets),
                len(model.failed),
            )
            for model in cohort.models
        ],
        "common_counts": [len(cohort.cases(subset)) for subset in cohort.subsets],
        "span": f"Vertebrae: {levels[0]} to {levels[-1]} ({len(levels)}).",
        "notes": cohort.notes,
    }


def _identity(model: Evaluation) -> tuple[str, str]:
    """Return name and version of the model, and the beginning of its checksum."""
    if model.model is None:
        return "labels of another system", ""
    name = f"{model.model.get('name', '')} {model.model.get('version', '')}".strip()
    return name, str(model.model.get("checksum") or "")[:12]


# --- tables -----------------------------------------------------------------------------------------------------------

_SECTIONS = (
    ("tables", "Tables", ("model-", "p-values", "overall")),
    ("verdicts", "Different or equivalent", ("verdict-",)),
    ("single", "Single cases", ("single-cases",)),
    ("paper", "Beside the paper", ("paper-",)),
)
_FOLDED = ("counts",)


@dataclass(frozen=True)
class _PaperWords:
    """Return what is above the tables of the paper."""

    source: str
    remark: str
    notes: Sequence[str]


@dataclass(frozen=True)
class _TableSection:
    """Return a section of tables: the visible ones, and the folded ones."""

    id: str
    title: str
    tables: Sequence[Table]
    more: Sequence[Table]
    paper: _PaperWords | None


def _table_sections(tables: Sequence[Table]) -> list[_TableSection]:
    found = []
    for name, title, stems in _SECTIONS:
        own = [table for table in tables if table.name.startswith(stems)]
        more = [table for table in own if table.name.endswith("-more")]
        if name == "tables":
            more += [table for table in tables if table.name in _FOLDED]
        seen = [table for table in own if not table.name.endswith("-more")]
        if seen or more:
            found.append(_TableSection(name, title, seen, more, _paper_words() if name == "paper" else None))
    return found


def _paper_words() -> _PaperWords:
    known = paper()
    counts = ", ".join(
        f"{subset_title(subset)} {own.count}" for subset, own in known.patients.items() if subset != "training"
    )
    source = (
        f"{known.source.citation}, doi {known.source.doi}: {known.patients['training'].count} patients for training"
    )
    return _PaperWords(f"{source}, {counts}.", REMARK, known.notes)


def _classed_rows(table: Table) -> list[tuple[tuple[Cell, ...], str]]:
    """Return each row with its classes: a group of levels, the beginning of a block."""
    names = [row[0].text for row in table.rows]
    repeats = len(set(names)) < len(names)  # the first column names a block of rows, not a row
    rows, before = [], ""
    for row in table.rows:
        group = any(cell.text.startswith("[C") for cell in row[:2])
        begin = repeats and before not in ("", row[0].text)
        before = row[0].text
        rows.append((row, " ".join(word for word, wanted in (("group", group), ("begin", begin)) if wanted)))
    return rows


def _is_text(table: Table, column: int) -> bool:
    return column == 0 or table.columns[column] in ("Vertebra", "Model", "Subset", "Measure", "verdict")
