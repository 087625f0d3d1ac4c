"""The report is one complete page that needs no network and lets no title become markup."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cspine.study.comparison.plots import write_plots
from cspine.study.comparison.report import write_report
from cspine.study.comparison.results import Results
from cspine.study.comparison.tables import build_tables


class Page(HTMLParser):
    """Ids, links, sources and whether every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.sources: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.ids.add(attributes.get("id") or "")
        self.links += [attributes["href"] or ""] if "href" in attributes else []
        self.sources += [attributes["src"] or ""] if "src" in attributes else []
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page(results: Results, out: Path) -> str:
    plots = write_plots(results, out / "plots")
    write_report(results, build_tables(results), plots, [], out)
    return (out / "report.html").read_text(encoding="utf-8")


def test_the_page_is_complete_and_self_contained(two: Results, tmp_path: Path) -> None:
    text = page(two, tmp_path)
    parsed = Page(text)
    assert parsed.open == [] and len(parsed.sources) == 4
    assert all(source.startswith("data:image/") for source in parsed.sources)
    assert all(link[0] == "#" and link[1:] in parsed.ids for link in parsed.links) and len(parsed.links) == 8
    assert "default-src 'none'" in text and "<script" not in text
    assert text.count("Research use only") == 2
    for words in (
        "Conclusion",
        "What was compared",
        "Different or equivalent",
        "Beside the paper",
        "two one-sided",
        "TOST",
    ):
        assert words.lower() in text.lower()
    assert re.search(r'class="verdict (equivalent|undecided|different)', text)


def test_titles_cannot_become_markup(one: Results, tmp_path: Path) -> None:
    text = page(replace(one, title="<script>alert(1)</script> & co"), tmp_path)
    assert "<script" not in text and "&lt;script&gt;alert(1)&lt;/script&gt; &amp; co" in text


def test_a_date_is_reported_only_where_the_clock_is_set(
    one: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    assert not re.search(r"cspine [\d.]+\w*, \d{4}-", page(one, tmp_path))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert ", 2023-11-14<" in page(one, tmp_path)


def test_three_models_without_subsets(three: Results, tmp_path: Path) -> None:
    text = page(three, tmp_path)
    assert Page(text).open == [] and "Friedman" in text and "all cases" in text and "Beside the paper" not in text
