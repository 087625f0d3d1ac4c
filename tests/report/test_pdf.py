"""The PDF document: the content of the page, readable, and the same bytes each time."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zlib
from base64 import a85decode
from dataclasses import replace
from pathlib import Path

import pytest

from cspine.core.errors import NoVertebraError
from cspine.core.findings import TRUNCATED
from cspine.report.pdf import report_pdf
from tests.builders.spine_phantom import MODEL, Phantom, volumes
from tests.builders.summaries import phantom_summary

_SCRIPT = """
import hashlib
from tests.report.test_pdf import document
print(hashlib.sha256(document()).hexdigest())
"""


def document() -> bytes:
    labels, ct = volumes(Phantom(labels=(3, 4)))
    labels = replace(labels, model=replace(MODEL, name="Nacken-Netz <ł>"))
    findings = (TRUNCATED.about("C4 < is > cut.", "C4"),)
    return report_pdf(phantom_summary(labels, ct, findings), ct, labels, findings)


def test_it_is_a_document_with_a_title_and_pictures() -> None:
    made = document()
    assert made.startswith(b"%PDF-1.") and made.rstrip().endswith(b"%%EOF")
    assert made.count(b"/Subtype /Image") >= 2
    assert b"Vertebrae C3-C4: report" in made
    assert b"CreationDate (D:2000" in made  # that of no clock


def test_every_process_makes_the_same_bytes() -> None:
    digests = set()
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT],
            env=os.environ | {"PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(done.stdout)
    assert len(digests) == 1


def test_nothing_is_made_without_labels() -> None:
    labels, ct = volumes(Phantom(labels=(3,)))
    with pytest.raises(NoVertebraError):
        report_pdf(phantom_summary(labels, ct), ct, replace(labels, labels_zyx=labels.labels_zyx * 0), ())


def words(made: bytes) -> str:
    """The text of all pages; letters beyond ASCII are numbers of glyphs."""
    found = []
    for match in re.finditer(rb"/Length \d+\n>>\nstream\n(.*?)endstream", made, re.DOTALL):
        if (text := match[1].strip()).endswith(b"~>"):
            page = zlib.decompress(a85decode(text.removesuffix(b"~>"))).decode("latin-1")
            found += re.findall(r"\((.*?)\) Tj", page)
    return " ".join(found)


def test_the_pages_say_what_the_result_says() -> None:
    text = words(document())
    for part in (
        "Vertebrae C3-C4",
        "warning: C4",
        "C4 < is > cut.",
        "What to do: Do not use its volume and extent",
        "Volume, ml",
        "do not use it for patients",
        "Research use only; not a medical device.",
        "A slice was interpolated.",
    ):
        assert part in text, part
    assert text.index("warning: C4") < text.index("Volume, ml") < text.index("Checksum of the model")
