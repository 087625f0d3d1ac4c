"""Tables as CSV, Markdown and LaTeX, whatever stands in them."""

from __future__ import annotations

import csv
import shutil
import subprocess
from pathlib import Path

import pytest

from cspine.study.comparison.table_files import (
    Cell,
    Table,
    escape_latex,
    latex,
    markdown,
    write_document,
    write_table,
)

NASTY = Table(
    "nasty",
    "100 % of C_1 & {x} $5 ~^#|\\ <b>",
    ("Vertebra", "ours", "paper"),
    (
        (Cell("C1"), Cell("0.947 ± 0.018"), Cell("−0.01")),
        (Cell("[C1,T1]"), Cell("", "not_defined"), Cell("Müller | 日本")),
    ),
    "Note with 5 % & more.",
    (("", 1), ("Dice_x", 2)),
)


def test_csv_says_why_a_cell_is_empty(tmp_path: Path) -> None:
    write_table(NASTY, tmp_path)
    with (tmp_path / "nasty.csv").open(newline="", encoding="utf-8") as lines:
        first, second = csv.DictReader(lines)
    assert first == {"Vertebra": "C1", "Dice_x: ours": "0.947 ± 0.018", "Dice_x: paper": "−0.01", "reason": ""}
    assert second["Dice_x: ours"] == "" and second["reason"] == "not_defined"


def test_markdown_keeps_its_columns() -> None:
    text = markdown(NASTY)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 4 and all(row.replace("\\|", "").count("|") == 4 for row in rows)
    assert "Müller \\| 日本" in text and "| – |" in text and "Empty cells: not_defined." in text


def test_latex_is_escaped_and_a_bracket_begins_no_argument() -> None:
    assert escape_latex("a_b & 50 % {x} \\ ~ ^ # $ < > |") == (
        r"a\_b \& 50 \% \{x\} \textbackslash{} \textasciitilde{} \textasciicircum{} \# \$ \textless{} \textgreater{} "
        r"\textbar{}"
    )
    text = latex(NASTY)
    assert "{[C1,T1]} & -- & M" in text and r"0.947 $\pm$ 0.018 & $-$0.01 \\" in text
    assert r"\multicolumn{2}{c}{Dice\_x}" in text and r"\cmidrule(lr){2-3}" in text
    assert text.count(r"\begin{") == text.count(r"\end{") and r"\toprule" in text and "日" not in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex")
def test_latex_compiles(tmp_path: Path) -> None:
    write_table(NASTY, tmp_path)
    write_document([NASTY], NASTY.title, tmp_path / "all.tex")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-draftmode", "all.tex"],
        cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
