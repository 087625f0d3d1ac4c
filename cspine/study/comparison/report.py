"""The report: one HTML page with everything in it, that asks nothing of a network."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import cspine
from cspine.dicom.clock import EPOCH_VARIABLE, Clock
from cspine.io.files import write_atomic
from cspine.io.tables import counted
from cspine.study.comparison.conclusion import conclude
from cspine.study.comparison.html import Markup, element, joined, picture
from cspine.study.comparison.methods import definitions
from cspine.study.comparison.paper import paper
from cspine.study.comparison.paper_beside import REMARK
from cspine.study.comparison.pictures import Picture
from cspine.study.comparison.plots import Plot
from cspine.study.comparison.reading import Evaluation
from cspine.study.comparison.results import Results
from cspine.study.comparison.statistics import VERDICTS
from cspine.study.comparison.table_files import Cell, Table
from cspine.study.comparison.words import part_title

#: Stands in every report.
NOTICE = "Research use only; not a medical device."
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


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
    sections = [
        ("conclusion", "Conclusion", _conclusion(results)),
        ("compared", "What was compared", _compared(results)),
        *_table_sections(tables),
        ("plots", "Plots", _plots(plots, out / "plots")),
    ]
    if pictures:
        sections.append(("worst", "Worst cases", _pictures(pictures, out / "plots")))
    sections.append(("methods", "Definitions and methods", _methods(results)))
    text = "<!DOCTYPE html>\n" + _page(results, sections) + "\n"
    write_atomic(out / "report.html", lambda partial: partial.write_text(text, encoding="utf-8"))


def _page(results: Results, sections: Sequence[tuple[str, str, Markup]]) -> Markup:
    css = (resources.files(__package__) / "report.css").read_text(encoding="utf-8")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        element("title", results.title),
        Markup(f"<style>\n{css}</style>"),
    )
    when = f", {Clock.from_environment().moment:%Y-%m-%d}" if os.environ.get(EPOCH_VARIABLE, "").strip() else ""
    cases = counted(len(results.cohort.part_of), "case")
    top = element(
        "header",
        element(
            "div",
            element("span", NOTICE, class_="research"),
            element("h1", results.title),
            element("p", f"{counted(len(results.titles), 'model')}, {cases}; cspine {cspine.__version__}{when}"),
            class_="wide",
        ),
        class_="top",
    )
    links = element("nav", element("div", *(element("a", t, href=f"#{i}") for i, t, _ in sections), class_="wide"))
    body = element(
        "main",
        element("div", *(element("section", element("h2", t), own, id=i) for i, t, own in sections), class_="wide"),
    )
    foot = element("footer", element("div", NOTICE, class_="wide"))
    return element("html", head, element("body", top, links, body, foot), lang="en")


def _conclusion(results: Results) -> Markup:
    told = conclude(results)
    parts = [element("p", claim, class_="claim") for claim in told.claims]
    parts.append(element("ul", *(element("li", text) for text in told.models)))
    if told.details:
        listing = element(
            "ul",
            *(
                element("li", element("strong", head), element("ul", *(element("li", text) for text in sentences)))
                for head, sentences in told.details
            ),
        )
        parts.append(element("details", element("summary", "Part by part"), listing, open="open"))
    return joined(*parts)


def _compared(results: Results) -> Markup:
    cohort = results.cohort
    heads = (
        "",
        "Model",
        "Package",
        *(f"Cases, {part_title(part)}" if part else "Cases" for part in cohort.parts),
        "Not evaluated",
    )
    rows = [
        element(
            "tr",
            element("td", "first" if number == 1 else f"{number}", class_="text"),
            element("td", model.title, class_="text wrap"),
            element("td", _identity(model), class_="text wrap"),
            *(element("td", str(len(cohort.cases(part, model)))) for part in cohort.parts),
            element("td", str(len(model.failed))),
        )
        for number, model in enumerate(cohort.models, 1)
    ]
    if len(cohort.models) > 1:
        rows.append(
            element(
                "tr",
                element("td", "", class_="text"),
                element("td", "cases that all have", class_="text"),
                element("td", ""),
                *(element("td", str(len(cohort.cases(part)))) for part in cohort.parts),
                element("td", ""),
                class_="group",
            )
        )
    left = len(heads) - len(cohort.parts) - 1
    head = [element("th", text, class_="text" if i < left else "") for i, text in enumerate(heads)]
    told = element(
        "div", element("table", element("thead", element("tr", *head)), element("tbody", *rows)), class_="scroll"
    )
    notes = element("ul", *(element("li", note) for note in cohort.notes)) if cohort.notes else Markup("")
    levels = [group.name for group in cohort.groups if group.single]
    span = element("p", f"Vertebrae: {levels[0]} to {levels[-1]} ({len(levels)}).", class_="note")
    return joined(told, span, notes)


def _identity(model: Evaluation) -> Markup:
    if model.model is None:
        return joined("labels from outside")
    checksum = str(model.model.get("checksum") or "")
    name = f"{model.model.get('name', '')} {model.model.get('version', '')}".strip()
    return joined(name, " ", element("code", checksum[:12])) if checksum else joined(name)


_SECTIONS = (
    ("tables", "Tables", ("model-", "p-values", "overall")),
    ("verdicts", "Different or alike", ("verdict-",)),
    ("single", "Single cases", ("single-cases",)),
    ("paper", "Beside the paper", ("paper-",)),
)
_FOLDED = ("counts",)


def _table_sections(tables: Sequence[Table]) -> list[tuple[str, str, Markup]]:
    found = []
    for name, title, stems in _SECTIONS:
        own = [table for table in tables if table.name.startswith(stems)]
        parts = [_table(table) for table in own if not table.name.endswith("-more")]
        more = [table for table in own if table.name.endswith("-more")]
        if name == "tables":
            more += [table for table in tables if table.name in _FOLDED]
        if name == "paper" and own:
            parts = [_paper_words(), *parts]
        if more:
            what = "More measures, and what was counted"
            parts.append(element("details", element("summary", what), *(_table(table) for table in more)))
        if parts:
            found.append((name, title, joined(*parts)))
    return found


def _paper_words() -> Markup:
    known = paper()
    counts = ", ".join(f"{part_title(part)} {own.count}" for part, own in known.patients.items() if part != "training")
    source = (
        f"{known.source.citation}, doi {known.source.doi}: {known.patients['training'].count} patients for training"
    )
    notes = element("ul", *(element("li", note) for note in known.notes))
    return joined(element("p", f"{source}, {counts}."), element("p", REMARK, class_="claim"), notes)


def _table(table: Table) -> Markup:
    texts = {i for i in range(len(table.columns)) if _is_text(table, i)}
    rows, before = [], ""
    for row in table.rows:
        group = any(cell.text.startswith("[C") for cell in row[:2])
        begin = _repeats(table) and before not in ("", row[0].text)
        before = row[0].text
        classes = " ".join(word for word, wanted in (("group", group), ("begin", begin)) if wanted)
        rows.append(element("tr", *(_cell(cell, i in texts) for i, cell in enumerate(row)), class_=classes))
    head = []
    if table.spans:
        spans = [element("th", text, colspan=str(count)) for text, count in table.spans]
        head.append(element("tr", *spans, class_="spans"))
    head.append(
        element(
            "tr", *(element("th", text, class_="text" if i in texts else "") for i, text in enumerate(table.columns))
        )
    )
    notes = [element("p", table.note, class_="note")] if table.note else []
    notes += [element("p", f"Empty cells: {'; '.join(table.reasons)}.", class_="note")] if table.reasons else []
    body = element("table", element("thead", *head), element("tbody", *rows))
    return joined(element("h3", table.title), element("div", body, class_="scroll"), *notes)


def _repeats(table: Table) -> bool:
    """Return True where the first column names a block of rows, not a row."""
    names = [row[0].text for row in table.rows]
    return len(set(names)) < len(names)


def _is_text(table: Table, column: int) -> bool:
    return column == 0 or table.columns[column] in ("Vertebra", "Model", "Part", "Measure", "verdict")


def _cell(cell: Cell, text: bool) -> Markup:
    classes = "text" if text else ""
    if not cell.text:
        return element("td", "–", class_=f"{classes} empty".strip(), title=cell.reason)
    if cell.tone in VERDICTS:
        return element(
            "td", element("span", cell.text, class_=f"verdict {cell.tone.replace(' ', '-')}"), class_=classes
        )
    return element("td", cell.text, class_=classes, title=cell.reason)


def _plots(plots: Sequence[Plot], folder: Path) -> Markup:
    figures = [
        element(
            "figure",
            element("h3", plot.title),
            picture(folder / f"{plot.name}.svg", plot.title),
            element("figcaption", plot.caption),
        )
        for plot in plots
    ]
    return joined(*figures)


def _pictures(pictures: Sequence[Picture], folder: Path) -> Markup:
    words = (
        "The cases with the lowest mean Dice of any model: what each drew beside the reference. Curved sagittal and "
        "coronal planes through the column, and an axial plane."
    )
    figures = [
        element(
            "figure",
            element("h3", own.caption),
            picture(folder / f"{own.name}.png", own.caption),
            element("figcaption", "; ".join(own.remarks)) if own.remarks else "",
            class_="dark",
        )
        for own in pictures
    ]
    return joined(element("p", words, class_="note"), *figures)


def _methods(results: Results) -> Markup:
    rows = [joined(element("dt", term), element("dd", text)) for term, text in definitions(results)]
    return element("dl", *rows)
