"""Files: renamed, truncated, twice, of another kind, special ones, damaged at any byte."""

from __future__ import annotations

import os
import random
import shutil
import socket
from pathlib import Path

from tests.fuzz.case import MARKER, Case
from tests.fuzz.mutations.registry import DoesNotApplyError, mutation


def _pick(folder: Path, rng: random.Random) -> Path | None:
    files = sorted(path for path in folder.iterdir() if path.name.startswith("IM") and path.is_file())
    return rng.choice(files) if files else None


def _later(case: Case, rng: random.Random, change: object) -> None:
    seed = rng.random()

    def on_disk(folder: Path) -> None:
        path = _pick(folder, random.Random(seed))
        if path is not None:
            change(folder, path, random.Random(seed))  # type: ignore[operator]

    case.on_disk.append(on_disk)


@mutation("file")
def file_renamed(case: Case, rng: random.Random) -> None:
    names = [
        "x",
        "DICOMDIR",
        "a.json",
        "a b.dcm",
        "\u00e4\u4e2d.dcm",
        "a\nb.dcm",
        ".hidden",
        "-rf",
        f"{MARKER}^Doe.dcm",
        "x.zip",
        "x.nii.gz",
        "%s.dcm",
        "a" * 200,
    ]
    name = rng.choice(names)
    _later(case, rng, lambda folder, path, _: path.rename(folder / name))


@mutation("file")
def file_truncated(case: Case, rng: random.Random) -> None:
    if case.is_multiframe:
        raise DoesNotApplyError

    def cut(folder: Path, path: Path, again: random.Random) -> None:
        content = path.read_bytes()
        path.write_bytes(
            content[: again.choice([0, 4, 128, 132, 140, 300, again.randrange(len(content)), len(content) - 2])]
        )

    _later(case, rng, cut)


@mutation("file")
def header_bytes_changed(case: Case, rng: random.Random) -> None:
    """Bytes before the pixels: tags, VRs and lengths; one changed digit of a number may make another valid number."""

    def damage(folder: Path, path: Path, again: random.Random) -> None:
        content = bytearray(path.read_bytes())
        pixels = max(content.find(mark) for mark in (b"\xe0\x7f\x10\x00", b"\x7f\xe0\x00\x10"))
        for _ in range(again.randint(1, 3)):
            tag = again.choice([b"\x08\x00", b"\x10\x00", b"\x18\x00", b"\x28\x00", b"\x20\x00"])
            starts = [at for at in range(132, pixels - 8) if content[at : at + 2] == tag]
            if starts:
                at = again.choice(starts)
                for offset in again.choice([(2, 3), (4, 5), (6, 7), (6,), (0, 1)]):
                    content[at + offset] = again.randrange(256)
        path.write_bytes(bytes(content))

    _later(case, rng, damage)


@mutation("file")
def file_without_its_preamble(case: Case, rng: random.Random) -> None:
    bytes_cut = rng.choice([128, 132, 1, 60])
    _later(case, rng, lambda folder, path, _: path.write_bytes(path.read_bytes()[bytes_cut:]))


@mutation("file")
def file_with_bytes_before_or_after(case: Case, rng: random.Random) -> None:
    def add(folder: Path, path: Path, again: random.Random) -> None:
        content, noise = path.read_bytes(), again.randbytes(again.randint(1, 300))
        path.write_bytes(again.choice([noise + content, content + noise, content + content]))

    _later(case, rng, add)


@mutation("file")
def file_copied(case: Case, rng: random.Random) -> None:
    place = rng.choice(["copy.dcm", "sub/copy.dcm", "COPY"])

    def copy(folder: Path, path: Path, _: random.Random) -> None:
        (folder / place).parent.mkdir(exist_ok=True)
        shutil.copyfile(path, folder / place)

    _later(case, rng, copy)


@mutation("file")
def other_files_between(case: Case, rng: random.Random) -> None:
    def add(folder: Path, path: Path, again: random.Random) -> None:
        contents = [
            b"",
            b"text",
            b"\0" * 128 + b"DICM",
            b"\0" * 128 + b"DICM" + again.randbytes(200),
            again.randbytes(500),
            b"{}",
            b"\x08\x00\x05\x00CS",
        ]
        names = ["readme.txt", "a.dcm", "DICOMDIR", "x.json", "x", f"{MARKER}.dcm", "Thumbs.db", "x.xml"]
        for name in again.sample(names, again.randint(1, 4)):
            (folder / name).write_bytes(again.choice(contents))

    _later(case, rng, add)


@mutation("file")
def special_files_between(case: Case, rng: random.Random) -> None:
    def add(folder: Path, path: Path, again: random.Random) -> None:
        kind = again.choice(["pipe", "socket", "broken link", "loop", "link to device", "folder", "empty folder"])
        name = folder / again.choice(["a.dcm", "DICOMDIR", "x"])
        if kind == "pipe":
            os.mkfifo(name)
        elif kind == "socket":
            here = Path.cwd()
            os.chdir(folder)
            try:
                with socket.socket(socket.AF_UNIX) as listener:
                    listener.bind(name.name)
            finally:
                os.chdir(here)
        elif kind == "link to device":
            name.symlink_to("/dev/zero")
        elif kind in ("broken link", "loop"):
            name.symlink_to(folder / "absent" if kind == "broken link" else folder)
        else:
            name.mkdir()
            if kind == "folder":
                path.rename(name / path.name)

    _later(case, rng, add)


@mutation("file")
def links_instead_of_files(case: Case, rng: random.Random) -> None:
    def link(folder: Path, path: Path, _: random.Random) -> None:
        aside = folder.parent / f"{folder.name}-aside"
        aside.mkdir(exist_ok=True)
        target = aside / path.name
        path.rename(target)
        path.symlink_to(target)

    _later(case, rng, link)
