"""The report as a PDF document, made without a browser: the content of the page, with pictures in place of views."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from io import BytesIO
from pathlib import Path

import matplotlib
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, Image, KeepTogether, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from cspine.core.anatomy import levels_text
from cspine.core.findings import Finding, Severity
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.report.advice import advice
from cspine.report.measures import measures_of
from cspine.report.page.html import count_words, ranked
from cspine.report.page.pictures import solids_png
from cspine.report.pdf_plots import PlotFlowable
from cspine.report.plots import Plot, PlotGroup, grouped, heading
from cspine.report.preview import preview_png
from cspine.report.scene import scene_of
from cspine.report.summary import Summary

_FONT, _BOLD = "cspine-sans", "cspine-sans-bold"
_MARGIN = 16 * mm
_WIDTH = A4[0] - 2 * _MARGIN
_SITE_WIDTH, _MAX_SITES = 14.5 * mm, 8
_ACCENT, _DIM, _LINE = colors.HexColor("#0b4f7d"), colors.HexColor("#5a6775"), colors.HexColor("#c5ced8")
_SEVERITY = {
    Severity.SERIOUS: colors.HexColor("#b3261e"),
    Severity.WARNING: colors.HexColor("#8a5a00"),
    Severity.INFO: colors.HexColor("#44525f"),
}

_BODY = ParagraphStyle("body", fontName=_FONT, fontSize=9, leading=12.5)
_NOTE = ParagraphStyle("note", _BODY, fontSize=7.5, leading=10, textColor=_DIM)
_STRONG = ParagraphStyle("strong", _BODY, fontName=_BOLD)
_TITLE = ParagraphStyle("title", _BODY, fontName=_BOLD, fontSize=18, leading=23)
_HEADING = ParagraphStyle(
    "heading", _BODY, fontName=_BOLD, fontSize=12.5, leading=16, spaceBefore=10, spaceAfter=4, keepWithNext=1
)
_SUBHEADING = ParagraphStyle(
    "subheading", _BODY, fontName=_BOLD, fontSize=10.5, leading=14, spaceBefore=8, keepWithNext=1
)
_SMALL = ParagraphStyle("small", _BODY, fontSize=8, leading=10)


def report_pdf(summary: Summary, ct: CtVolume, labels: LabelVolume, findings: Sequence[Finding]) -> bytes:
    """Return the document; the same arguments give the same bytes.

    Parameters
    ----------
    summary : Summary
        What is known of the run. The document has no other words about the study.
    ct : CtVolume
        The image.
    labels : LabelVolume
        Vertebrae on the grid of ``ct``.
    findings : sequence of Finding
        Those of the summary, which stand below the picture.

    Raises
    ------
    NoVertebraError
        If there are no labels.
    """
    _register_fonts()
    scene, file = scene_of(ct, labels), BytesIO()
    span = levels_text(scene.levels)
    document = SimpleDocTemplate(
        file, pagesize=A4, leftMargin=_MARGIN, rightMargin=_MARGIN, topMargin=_MARGIN, bottomMargin=18 * mm,
        title=f"Vertebrae {span}: report", author=f"cspine {summary.cspine_version}", lang="en", invariant=1,
    )  # fmt: skip
    story: list[Flowable] = [*_head(summary, span), *_findings(summary)]
    story += [
        *_picture("Slices", preview_png(ct, labels, summary.model_title, findings), _WIDTH),
        *_picture("Three sides", solids_png(scene), 0.72 * _WIDTH),
        *_measurements(grouped(measures_of(summary))),
        *_provenance(summary),
    ]
    footer = _footer(summary)
    document.build(story, onFirstPage=footer, onLaterPages=footer)
    return file.getvalue()


def _register_fonts() -> None:
    """Register the fonts that matplotlib brings: the fonts of PDF itself know only western European letters."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    for name, file in ((_FONT, "DejaVuSans.ttf"), (_BOLD, "DejaVuSans-Bold.ttf")):
        if name not in pdfmetrics.getRegisteredFontNames():
            pdfmetrics.registerFont(TTFont(name, str(folder / file)))


def _text(text: str, style: ParagraphStyle = _BODY) -> Paragraph:
    return Paragraph(escape(text), style)


def _head(summary: Summary, span: str) -> list[Flowable]:
    subtitle = f"{summary.model_title} · {summary.clock[:10]} · cspine {summary.cspine_version}"
    claim = f"{len(summary.vertebrae)} segmented: {span}. {count_words(summary.findings)}"
    demonstration = " The model is a demonstration: do not use it for patients." if summary.model.demonstration else ""
    return [
        _text(summary.notice, _NOTE),
        _text(f"Vertebrae {span}", _TITLE),
        _text(subtitle, _NOTE),
        Spacer(0, 6),
        _text(claim + demonstration, _STRONG),
    ]


def _findings(summary: Summary) -> list[Flowable]:
    parts: list[Flowable] = [_text("Findings", _HEADING)]
    for finding in ranked(summary.findings):
        severity = Severity(finding.severity)
        colour = ParagraphStyle("severity", _STRONG, textColor=_SEVERITY[severity])
        lines = [
            _text(f"{severity.value}: {finding.level or 'entire result'}", colour),
            _text(finding.sentence),
            _text(f"What to do: {advice(finding.code, severity)}"),
            _text(finding.code, _NOTE),
            Spacer(0, 5),
        ]
        parts.append(KeepTogether(lines))
    if summary.levels_not_found:
        parts.append(_text(f"Looked for and not found: {', '.join(summary.levels_not_found)}."))
    parts += [_text(remark, _NOTE) for remark in (*summary.input.repairs, *summary.warnings)]
    return parts if len(parts) > 1 else []


def _picture(heading: str, png: bytes, width: float) -> list[Flowable]:
    pixels = ImageReader(BytesIO(png)).getSize()
    height = width * pixels[1] / pixels[0]
    return [KeepTogether([_text(heading, _HEADING), Image(BytesIO(png), width, height)])]


def _measurements(groups: Sequence[PlotGroup]) -> list[Flowable]:
    note = (
        "A mark is the value, a bar the range that the source below it states or, without one, two standard deviations "
        "about its mean; a value outside the range is not a diagnosis. ! outside the range, * truncated by the edge of "
        "the scan, not compared."
    )
    parts: list[Flowable] = [_text("Measurements", _HEADING), _text(note, _NOTE)]
    for group in groups:
        parts += [_text(group.title, _SUBHEADING), _plot_grid(group.plots), *_values(group)]
    return parts


def _plot_grid(plots: Sequence[Plot]) -> Flowable:
    cells = [_plot(plot) for plot in plots]
    rows = [cells[i : i + 2] + [""] * (2 - len(cells[i : i + 2])) for i in range(0, len(cells), 2)]
    grid = Table(rows, colWidths=[_WIDTH / 2] * 2)
    grid.setStyle(TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0)]))
    return grid


def _plot(plot: Plot) -> list[Flowable]:
    parts: list[Flowable] = [_text(heading(plot.measure), _STRONG), PlotFlowable(plot, _FONT)]
    return [*parts, _text(plot.measure.source, _NOTE)] if plot.measure.source else parts


def _values(group: PlotGroup) -> list[Flowable]:
    """Return the tables of a group: a row for each quantity, a column for each site, as many as a page is wide."""
    starts = range(0, len(group.sites), _MAX_SITES)
    return [_value_table(group, group.sites[start : start + _MAX_SITES]) for start in starts]


def _value_table(group: PlotGroup, sites: Sequence[str]) -> Flowable:
    rows = [[title, *texts] for title, texts in group.cells(sites)]
    widths = (_WIDTH - len(sites) * _SITE_WIDTH, *([_SITE_WIDTH] * len(sites)))
    return _table(["Quantity", *sites], rows, widths)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], widths: Sequence[float] | None = None) -> Flowable:
    cells = [[_text(str(cell), _SMALL) for cell in row] for row in rows]
    bold = ParagraphStyle("head", _SMALL, fontName=_BOLD)
    table = Table([[_text(cell, bold) for cell in head], *cells], colWidths=widths, repeatRows=1, spaceBefore=6)
    table.setStyle(
        TableStyle(
            [
                ("LINEBELOW", (0, 0), (-1, 0), 0.9, colors.black),
                ("LINEBELOW", (0, 1), (-1, -1), 0.3, _LINE),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("TOPPADDING", (0, 0), (-1, -1), 1.5),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5),
            ]
        )
    )
    return table


def _provenance(summary: Summary) -> list[Flowable]:
    run = summary.input
    facts = [
        ("Model", summary.model_title),
        ("Checksum of the model", summary.model.checksum),
        ("Date and time", summary.clock),
        ("Device", summary.device),
        ("Study, series (hashed)", f"{run.study or '–'}, {run.series or '–'}"),
        ("Slices, spacing in mm", "{}, {:.3g} × {:.3g} × {:.3g}".format(run.slices, *run.spacing_mm)),
        ("Files skipped, damaged", f"{run.skipped_files}, {run.damaged_files}"),
        *((f"Setting {name}", value) for name, value in summary.settings.items()),
        *((f"Version of {name}", value) for name, value in summary.versions.items()),
        *((output.file, f"{output.kind}, SHA-256 {output.sha256}") for output in summary.outputs),
    ]
    return [_text("Provenance", _HEADING), _table(["", ""], facts, (52 * mm, _WIDTH - 52 * mm))]


def _footer(summary: Summary) -> object:
    def write(canvas: Canvas, document: SimpleDocTemplate) -> None:
        canvas.saveState()
        canvas.setFont(_FONT, 7.5)
        canvas.setFillColor(_DIM)
        canvas.drawString(_MARGIN, 10 * mm, summary.notice)
        canvas.drawRightString(A4[0] - _MARGIN, 10 * mm, f"Page {document.page}")
        canvas.restoreState()

    return write
