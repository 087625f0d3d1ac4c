"""Hooks of the documentation site: a link to a file of the repository outside docs/ becomes its path."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError

_ROOT = Path(__file__).parents[1]
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s#]+)(#[^)]*)?\)")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Replace links that leave docs/: the site holds no such pages. A path that does not exist is an error."""
    folder = posixpath.dirname(f"docs/{page.file.src_uri}")

    def replaced(link: re.Match[str]) -> str:
        text, target = link[1], link[2]
        path = posixpath.normpath(posixpath.join(folder, target))
        if "://" in target or target.startswith("mailto:") or path.startswith("docs/"):
            return link[0]
        if not (_ROOT / path).exists():
            raise PluginError(f"{page.file.src_uri} links to {path}, which does not exist")
        return f"{text} (`{path}`)" if text.strip("`") != path else text

    return _LINK.sub(replaced, markdown)
