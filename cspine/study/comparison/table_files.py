"""A table for readers, and its files: CSV, Markdown, LaTeX (booktabs)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cspine.io.files import write_atomic
from cspine.io.tables import write_csv


@dataclass(frozen=True)
class Cell:
    """A cell.

    Parameters
    ----------
    text : str
        What it says; empty where there is nothing to say.
    reason : str
        Why it is empty, or a remark.
    tone : str
        Word that the report colours the cell by: a verdict, for example.
    """

    text: str
    reason: str = ""
    tone: str = ""


@dataclass(frozen=True)
class Table:
    """A table.

    Parameters
    ----------
    name : str
        Of its files.
    title : str
        Stands above it.
    columns : tuple of str
        Their heads; the first column names the row.
    rows : tuple of tuple of Cell
        As many cells as columns.
    note : str
        Stands below it.
    spans : tuple of (str, int)
        Heads over several columns: text and number of columns, over all columns; empty for none.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    spans: tuple[tuple[str, int], ...] = ()

    @property
    def heads(self) -> list[str]:
        """Return one head per column, with that of its span."""
        if not self.spans:
            return list(self.columns)
        over = [text for text, count in self.spans for _ in range(count)]
        return [f"{a}: {b}" if a and b else a or b for a, b in zip(over, self.columns, strict=True)]

    @property
    def reasons(self) -> list[str]:
        """Return why cells are empty, each reason once."""
        return list(dict.fromkeys(cell.reason for row in self.rows for cell in row if cell.reason and not cell.text))


def write_table(table: Table, folder: Path) -> None:
    """Write NAME.csv, NAME.md and NAME.tex; OutputError if that fails."""
    rows = [[cell.text for cell in row] for row in table.rows]
    reasons = ["; ".join(dict.fromkeys(c.reason for c in row if c.reason and not c.text)) for row in table.rows]
    write_csv(
        folder / f"{table.name}.csv", [*table.heads, "reason"],
        [[*row, reason] for row, reason in zip(rows, reasons, strict=True)],
    )  # fmt: skip
    _write_text(folder / f"{table.name}.md", markdown(table))
    _write_text(folder / f"{table.name}.tex", latex(table))


def _write_text(path: Path, text: str) -> None:
    write_atomic(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def _notes(table: Table) -> list[str]:
    notes = [table.note] if table.note else []
    return notes + ([f"Empty cells: {'; '.join(table.reasons)}."] if table.reasons else [])


def markdown(table: Table) -> str:
    """Return the table in Markdown."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("\\", "\\\\").replace("|", "\\|") for cell in cells) + " |"

    rows = [line([cell.text or "–" for cell in row]) for row in table.rows]
    lines = [f"**{table.title}**", "", line(table.heads), "|" + "---|" * len(table.columns), *rows]
    for note in _notes(table):
        lines += ["", note]
    return "\n".join(lines) + "\n"


_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "±": r"$\pm$", "−": r"$-$", "≤": r"$\leq$", "≥": r"$\geq$", "–": "--", "…": r"\ldots{}",
    "Δ": r"$\Delta$", "×": r"$\times$",
}  # fmt: skip
_LAST_LETTER = 0x17F  # what LaTeX knows without further packages


def escape_latex(text: str) -> str:
    """Return text that LaTeX prints as it is; a letter beyond Latin Extended-A becomes a question mark."""
    return "".join(_LATEX.get(c, c if ord(c) <= _LAST_LETTER and c.isprintable() else "?") for c in text)


def latex(table: Table) -> str:
    """Return the table as a LaTeX float that needs the package booktabs."""

    def line(cells: Sequence[str]) -> str:
        # Braces: a row that begins with a bracket would be taken for an argument of the line break before it.
        return " & ".join(f"{{{escape_latex(cell)}}}" if cell.startswith("[") else escape_latex(cell) for cell in cells)

    lines = [r"\begin{table}", r"\centering", rf"\caption{{{escape_latex(table.title)}}}"]
    lines += [rf"\label{{tab:{table.name}}}", rf"\begin{{tabular}}{{l{'c' * (len(table.columns) - 1)}}}", r"\toprule"]
    if table.spans:
        spans, rules, place = [], [], 1
        for text, count in table.spans:
            spans.append(rf"\multicolumn{{{count}}}{{c}}{{{escape_latex(text)}}}")
            rules += [rf"\cmidrule(lr){{{place}-{place + count - 1}}}"] if text else []
            place += count
        lines += [" & ".join(spans) + r" \\", "".join(rules)]
    lines += [line(table.columns) + r" \\", r"\midrule"]
    lines += [line([cell.text or "–" for cell in row]) + r" \\" for row in table.rows]
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par\smallskip{{\footnotesize {escape_latex(note)}}}" for note in _notes(table)]
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def write_document(tables: Sequence[Table], title: str, path: Path) -> None:
    """Write a LaTeX document that shows all tables, each from its own file beside it."""
    head = [
        r"\documentclass[9pt,a4paper]{extarticle}", r"\usepackage[utf8]{inputenc}", r"\usepackage[T1]{fontenc}",
        r"\usepackage{booktabs}", r"\usepackage[landscape,margin=12mm]{geometry}", r"\begin{document}",
        rf"\section*{{{escape_latex(title)}}}",
    ]  # fmt: skip
    body = [rf"\input{{{table.name}}}" + "\n" + r"\clearpage" for table in tables]
    text = "\n".join([*head, *body, r"\end{document}"]) + "\n"
    _write_text(path, text)
