"""Fill the page: one HTML file that loads nothing, with its scripts named by their hashes in its policy."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, Template

from cspine.core.anatomy import levels_text, vertebra
from cspine.core.findings import Severity
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.io.files import read_resource, write_atomic
from cspine.report.advice import advice
from cspine.report.measures import measures_of
from cspine.report.page.packing import pack, pack_planes
from cspine.report.page.pictures import slices_png, solids_png
from cspine.report.page.solids import UNIT_MM, Solid, solids_of
from cspine.report.page.stacks import Stack, hu_of_codes, stacks_of
from cspine.report.plots import WIDTH, grouped, heading
from cspine.report.scene import Scene, scene_of
from cspine.report.summary import FindingSummary, Summary

_SCRIPTS = ("unpack.js", "slices.js", "solids.js")
_ORDER = (Severity.SERIOUS, Severity.WARNING, Severity.INFO)
#: Centre and width in Hounsfield units; the first is shown first.
WINDOWS = (("Bone", 400, 1800), ("Soft tissue", 50, 400), ("Wide", 500, 3000))


def write_page(summary: Summary, ct: CtVolume, labels: LabelVolume, path: Path) -> None:
    """Write the page as one file.

    Parameters
    ----------
    summary, ct, labels
        As in `page_html`.
    path : Path
        File to write.

    Raises
    ------
    NoVertebraError
        If there are no labels.
    OutputError
        If the file cannot be written.
    """
    text = page_html(summary, ct, labels)
    write_atomic(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def page_html(summary: Summary, ct: CtVolume, labels: LabelVolume) -> str:
    """Return the page; the same arguments give the same text, and timings are omitted.

    Parameters
    ----------
    summary : Summary
        What is known of the run. The page has no other words about the study.
    ct : CtVolume
        The image.
    labels : LabelVolume
        Vertebrae on the grid of ``ct``.

    Raises
    ------
    NoVertebraError
        If there are no labels.
    """
    scene = scene_of(ct, labels)
    stacks, measures = stacks_of(scene), measures_of(summary)
    css = read_resource(__package__, "page.css")
    script = "\n".join(read_resource(__package__, name) for name in _SCRIPTS)
    return _template().render(
        summary=summary,
        span=levels_text(scene.levels),
        findings=ranked(summary.findings),
        counts=count_words(summary.findings),
        advice=lambda finding: advice(finding.code, Severity(finding.severity)),
        remarks=[*summary.input.repairs, *summary.warnings],
        stacks=stacks,
        windows=WINDOWS,
        levels=scene.levels,
        groups=grouped(measures),
        plot_width=WIDTH,
        heading=heading,
        slices_url=_png_url(slices_png(stacks)),
        solids_url=_png_url(solids_png(scene)),
        data=_data(scene, stacks, solids_of(scene)),
        css=css,
        script=script,
        policy=_policy(css, script),
    )


def ranked(findings: Sequence[FindingSummary]) -> list[FindingSummary]:
    """Return findings with the most serious ones first.

    Parameters
    ----------
    findings : sequence of FindingSummary
        Findings of a summary; the order of equally serious ones stays.
    """
    return sorted(findings, key=lambda finding: _ORDER.index(Severity(finding.severity)))


def count_words(findings: Sequence[FindingSummary]) -> str:
    """Return how many findings of each severity there are, in words.

    Parameters
    ----------
    findings : sequence of FindingSummary
        Findings of a summary.

    Examples
    --------
    >>> count_words([])
    'No findings.'
    """
    counts = {severity: sum(f.severity == severity for f in findings) for severity in _ORDER}
    names = {Severity.SERIOUS: "serious", Severity.WARNING: "warning", Severity.INFO: "for information"}
    words = [f"{count} {names[severity]}" for severity, count in counts.items() if count]
    return f"Findings: {', '.join(words)}." if words else "No findings."


def _template() -> Template:
    """Return the template, in which text is escaped: no name of a model and no path can become markup."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(read_resource(__package__, "page.html"))


def _policy(css: str, script: str) -> str:
    """Return a Content Security Policy that allows the page's own style and script, and pictures within it."""
    return f"default-src 'none'; img-src data:; style-src {_hash(css)}; script-src {_hash(script)}"


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def _png_url(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


# --- what the scripts read --------------------------------------------------------------------------------------------


def _data(scene: Scene, stacks: Sequence[Stack], solids: Sequence[Solid]) -> str:
    data: dict[str, Any] = {
        "hu": hu_of_codes(),
        "levels": {level.label: {"name": level.name, "rgb": level.rgb} for level in scene.levels},
        "stacks": {stack.name: _stack_data(stack) for stack in stacks},
        "solids": {"unit": UNIT_MM, "parts": [_solid_data(solid) for solid in solids]},
    }
    # Within a script element only "</" and "<!" could end or change it.
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def _stack_data(stack: Stack) -> dict[str, Any]:
    return {
        "shape": stack.codes_nyx.shape,
        "mm": [round(mm, 4) for mm in stack.pixel_mm],
        "positions": stack.positions,
        "sides": stack.sides,
        "codes": pack_planes(stack.codes_nyx),
        "labels": pack_planes(stack.labels_nyx),
    }


def _solid_data(solid: Solid) -> dict[str, Any]:
    return {
        "label": vertebra(solid.level.name).label,
        "points": pack(solid.points_lps),
        "normals": pack(solid.normals_lps),
        "triangles": pack(solid.triangles),
    }
