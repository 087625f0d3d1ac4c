"""A built image: its configuration and its files, read through the container engine."""

from __future__ import annotations

import json
import subprocess
import tarfile
from dataclasses import dataclass, field
from typing import Any

_KEPT = ("etc/", "opt/holoscan/", "var/holoscan/")


class CheckError(Exception):
    """An item failed; the text has the cause."""


def require(condition: object, otherwise: str) -> None:
    """Raise CheckError unless a condition holds."""
    if not condition:
        raise CheckError(otherwise)


@dataclass(frozen=True)
class Entry:
    """One file, folder or link of the image."""

    mode: int
    uid: int
    kind: str
    link: str
    start: bytes


@dataclass
class Image:
    """A built image: its configuration, its files, and the content of small files."""

    name: str
    engine: list[str]
    config: dict[str, Any] = field(default_factory=dict)
    entries: dict[str, Entry] = field(default_factory=dict)
    content: dict[str, bytes] = field(default_factory=dict)

    def load(self) -> None:
        """Read the configuration and the files of the image."""
        self.config = json.loads(self._run("image", "inspect", self.name))[0]
        container = self._run("create", self.name).strip().splitlines()[-1]
        try:
            with subprocess.Popen([*self.engine, "export", container], stdout=subprocess.PIPE) as exported:
                assert exported.stdout is not None
                self._read(exported.stdout)
        finally:
            self._run("rm", container)
        require(self.entries, "the engine exported no files")

    def _run(self, *words: str) -> str:
        return subprocess.run([*self.engine, *words], check=True, capture_output=True, text=True).stdout

    def _read(self, stream: Any) -> None:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                name = member.name.removeprefix("./").rstrip("/")
                kind = (
                    "folder" if member.isdir() else "link" if member.issym() else "file" if member.isreg() else "other"
                )
                start = b""
                if member.isreg():
                    opened = archive.extractfile(member)
                    assert opened is not None
                    start = opened.read(1024)
                    if name.startswith(_KEPT) and member.size < 1_000_000:
                        self.content[name] = start + opened.read()
                self.entries[name] = Entry(member.mode, member.uid, kind, member.linkname, start)

    def json(self, path: str) -> dict[str, Any]:
        """Return the content of a JSON file of the image."""
        content = self.content.get(path.lstrip("/"))
        require(content, f"{path} is not in the image")
        assert content is not None
        loaded = json.loads(content)
        assert isinstance(loaded, dict)
        return loaded

    def entry(self, path: str) -> Entry:
        """Return the entry at an absolute path."""
        found = self.entries.get(path.strip("/"))
        require(found, f"{path} is not in the image")
        assert found is not None
        return found

    @property
    def labels(self) -> dict[str, str]:
        """Return the labels."""
        return dict(self.config["Config"].get("Labels") or {})

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment variables."""
        pairs = (item.partition("=") for item in self.config["Config"]["Env"])
        return {name: value for name, _, value in pairs}

    @property
    def app(self) -> dict[str, Any]:
        """Return the content of app.json."""
        return self.json("/etc/holoscan/app.json")

    @property
    def pkg(self) -> dict[str, Any]:
        """Return the content of pkg.json."""
        return self.json("/etc/holoscan/pkg.json")
