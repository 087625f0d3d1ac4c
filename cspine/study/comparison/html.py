"""HTML from elements: text is escaped, so that no title and no case name can become markup."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path

_VOID = frozenset({"meta", "img", "br", "hr"})
_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(tag: str, *children: str, **attributes: str) -> Markup:
    """Return an element.

    Parameters
    ----------
    tag : str
        Its name.
    *children : str
        Elements, and text that is escaped.
    **attributes : str
        A trailing underscore is left out (``class_``), an empty value leaves the attribute out.
    """
    told = "".join(f' {name.rstrip("_")}="{escape(value)}"' for name, value in attributes.items() if value)
    if tag in _VOID:
        return Markup(f"<{tag}{told}>")
    return Markup(f"<{tag}{told}>{joined(*children)}</{tag}>")


def joined(*children: str) -> Markup:
    """Return elements and text one after another; text is escaped."""
    return Markup("".join(child if isinstance(child, Markup) else escape(child, quote=False) for child in children))


def picture(path: Path, words: str) -> Markup:
    """Return an image whose data lie in the page.

    Parameters
    ----------
    path : Path
        An SVG or PNG file.
    words : str
        What it shows, for those who cannot see it.
    """
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return element("img", src=f"data:{_TYPES[path.suffix]};base64,{data}", alt=words)
