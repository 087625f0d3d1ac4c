"""The page: valid, self-contained, usable without a mouse or a screen, and with nothing but the summary's words."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cspine.core.errors import NoVertebraError, OutputError
from cspine.core.findings import MISSING_LEVEL, OFF_COLUMN_REMOVED, TRUNCATED
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.report.page.html import page_html, write_page
from cspine.report.summary import MeasurementSummary, Summary
from tests.builders.spine_phantom import MODEL, Phantom, volumes
from tests.builders.summaries import phantom_summary

FINDINGS = (
    OFF_COLUMN_REMOVED.about("Removed."),
    TRUNCATED.about("T1 <is> cut.", "T1"),
    MISSING_LEVEL.about("C5 is missing.", "C5"),
)
_VOID = {"meta", "img", "input", "br", "hr", "link"}
_SHAPES = {"line", "rect", "circle", "path"}


class Outline(HTMLParser):
    """The elements of a page; elements that are not closed in order are an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"{tag} has an attribute twice"
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in _SHAPES
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and data.strip():
            self.texts.setdefault(self.open[-1], []).append(data.strip())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def result() -> tuple[Summary, CtVolume, LabelVolume]:
    labels, ct = volumes(Phantom(shape_zyx=(170, 90, 80)))
    return phantom_summary(labels, ct, FINDINGS), ct, labels


@pytest.fixture(scope="module")
def html(result: tuple[Summary, CtVolume, LabelVolume]) -> str:
    return page_html(*result)


@pytest.fixture(scope="module")
def page(html: str) -> Outline:
    return Outline(html)


def test_the_page_is_well_formed(html: str, page: Outline) -> None:
    assert html.startswith("<!DOCTYPE html>")
    assert page.all("html") == [{"lang": "en"}]
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for link in page.all("a"):
        assert str(link["href"]).removeprefix("#") in ids


def test_nothing_is_loaded_from_anywhere(html: str, page: Outline) -> None:
    assert not re.search(r"(https?:)?//[a-z0-9.-]+\.[a-z]", re.sub(r"base64,[\w+/=]+", "", html))
    for _, attributes in page.elements:
        assert "style" not in attributes and not any(name.startswith("on") for name in attributes)
        assert str(attributes.get("src", "data:")).startswith("data:")
    assert not page.all("link") and not page.all("iframe")


def test_the_policy_allows_the_own_script_and_style_alone(html: str, page: Outline) -> None:
    (policy,) = [a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None and policy.startswith("default-src 'none'; img-src data:; ")
    for tag, name in (("style", "style-src"), ("script", "script-src")):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{name} 'sha256-{digest}'" in policy


def test_findings_come_first_and_the_most_serious_one_first(html: str, page: Outline) -> None:
    sections = [a["id"] for a in page.all("section")]
    assert sections == ["findings", "slices", "solids", "measurements", "provenance"]
    assert [a["class"] for a in page.all("li") if "class" in a] == ["serious", "warning", "info"]
    part = html[html.index('id="findings"') : html.index('id="slices"')]
    assert re.findall(r"CS-FND-\d+", part) == ["CS-FND-002", "CS-FND-001", "CS-FND-011"]
    assert part.count("What to do:") == 3
    assert "DEMONSTRATION" in html and "do not use it for patients" in part


def test_landmarks_names_and_captions(page: Outline) -> None:
    for landmark in ("header", "nav", "main", "footer"):
        assert len(page.all(landmark)) == 1, landmark
    assert len(page.all("h1")) == 1
    for image in page.all("img"):
        assert len(str(image["alt"])) > 20
    for name in ("svg", "canvas"):
        for element in page.all(name):
            assert element.get("aria-label") or element.get("aria-hidden") == "true"
    assert len(page.all("caption")) == len(page.all("table")) >= 5
    assert all(cell.get("scope") in ("col", "row") for cell in page.all("th"))
    assert len(page.all("label")) == len(page.all("input"))


def test_text_cannot_become_markup(html: str) -> None:
    assert "T1 &lt;is&gt; cut." in html and "thin &lt;slices&gt;" in html


def test_the_data_ends_no_element(result: tuple[Summary, CtVolume, LabelVolume], html: str) -> None:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    data = json.loads(text)
    assert list(data["stacks"]) == ["sagittal", "coronal", "axial"]
    assert len(data["hu"]) <= 256
    assert [data["levels"][str(part["label"])]["name"] for part in data["solids"]["parts"]] == [
        row.level for row in result[0].vertebrae
    ]


def test_the_same_result_gives_the_same_page_whatever_the_time_it_took(
    result: tuple[Summary, CtVolume, LabelVolume], html: str
) -> None:
    summary, ct, labels = result
    assert page_html(summary.model_copy(update={"timings_s": {"infer": 99.0}}), ct, labels) == html


def test_the_page_is_not_large(html: str) -> None:
    assert len(html) < 2_000_000


def test_every_measurement_is_in_a_plot_and_in_the_table(
    result: tuple[Summary, CtVolume, LabelVolume], html: str, page: Outline
) -> None:
    assert len([a for a in page.all("figure") if a.get("class") == "plot"]) == 6
    for row in result[0].vertebrae:
        assert f">{row.volume_ml:.1f}" in html


def test_nothing_is_written_without_labels(tmp_path: Path, result: tuple[Summary, CtVolume, LabelVolume]) -> None:
    summary, ct, labels = result
    with pytest.raises(NoVertebraError):
        write_page(summary, ct, replace(labels, labels_zyx=labels.labels_zyx * 0), tmp_path / "report.html")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_reported(
    tmp_path: Path, result: tuple[Summary, CtVolume, LabelVolume]
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        write_page(*result, tmp_path / "file" / "report.html")


def test_a_quantity_that_a_site_lacks_has_a_dash(result: tuple[Summary, CtVolume, LabelVolume]) -> None:
    summary, ct, labels = result
    row = MeasurementSummary(site="C4", name="body_depth_mm", value=15.0, unit="mm", uncertainty=None)
    html = page_html(summary.model_copy(update={"measurements": [row], "levels_not_found": ["T2"]}), ct, labels)
    Outline(html)
    assert "Depth of the body, mm</th><td>–</td><td>–</td><td>–</td><td>15.0</td>" in html
    assert "Looked for and not found: T2." in html


def test_a_result_without_findings_says_so() -> None:
    labels, ct = volumes(Phantom(labels=(3,)))
    html = page_html(phantom_summary(LabelVolume(labels.labels_zyx, labels.affine_lps, MODEL), ct), ct, labels)
    Outline(html)
    assert "1 vertebra segmented: C3. No findings." in html
