"""Zip archives of a series: whole, cut, with other members, or with members that go elsewhere."""

from __future__ import annotations

import random
import stat
import warnings
import zipfile
from pathlib import Path

from tests.fuzz.case import MARKER, Case
from tests.fuzz.mutations.registry import mutation


def pack(folder: Path, archive: Path) -> None:
    """Write the files of a folder to an archive; of a link to a file, the file, as zip programs do."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as zipped:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                zipped.write(path, path.relative_to(folder).as_posix())


@mutation("archive")
def archive_of_the_series(case: Case, rng: random.Random) -> None:
    case.as_zip.append(lambda archive: None)


@mutation("archive")
def archive_cut(case: Case, rng: random.Random) -> None:
    share = rng.choice([0.0, 0.3, 0.9, 0.999])
    case.as_zip.append(lambda archive: archive.write_bytes(archive.read_bytes()[: int(archive.stat().st_size * share)]))


@mutation("archive")
def archive_bytes_changed(case: Case, rng: random.Random) -> None:
    """Bytes of the directory at the end; the members' checksums protect the files."""
    seed = rng.random()

    def damage(archive: Path) -> None:
        again, content = random.Random(seed), bytearray(archive.read_bytes())
        for _ in range(again.randint(1, 4)):
            content[-again.randrange(1, min(len(content), 700))] = again.randrange(256)
        archive.write_bytes(bytes(content))

    case.as_zip.append(damage)


@mutation("archive")
def archive_member_changed(case: Case, rng: random.Random) -> None:
    seed = rng.random()

    def damage(archive: Path) -> None:
        again, content = random.Random(seed), bytearray(archive.read_bytes())
        content[again.randrange(len(content) // 2)] ^= again.randrange(1, 256)
        archive.write_bytes(bytes(content))

    case.as_zip.append(damage)


@mutation("archive")
def archive_with_other_members(case: Case, rng: random.Random) -> None:
    seed = rng.random()

    def add(archive: Path) -> None:
        again = random.Random(seed)
        name = again.choice(
            [
                "../x.dcm",
                "/x.dcm",
                "a/../../x",
                "C:/x",
                f"{MARKER}.dcm",
                "IM0001.dcm",
                "\u00e4.txt",
                "x" * 300,
                "a/" * 90 + "x",
                "con",
                ".",
                "a\\b",
                "x\n",
            ]
        )
        info = zipfile.ZipInfo(name)
        if again.random() < 0.2:
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
        with warnings.catch_warnings(), zipfile.ZipFile(archive, "a") as zipped:
            warnings.simplefilter("ignore")  # of a second member of a name
            zipped.writestr(info, again.choice([b"", b"text", b"/etc/passwd", b"\0" * 128 + b"DICM"]))

    case.as_zip.append(add)


@mutation("archive")
def archive_encrypted_or_of_unknown_method(case: Case, rng: random.Random) -> None:
    """Flags and methods of a member, in its own header and in the directory."""
    flag = rng.random() < 0.5
    method = rng.choice([1, 9, 14, 93, 99])

    def change(archive: Path) -> None:
        content = bytearray(archive.read_bytes())
        for signature, at_flags, at_method in ((b"PK\x03\x04", 6, 8), (b"PK\x01\x02", 8, 10)):
            start = content.find(signature)
            if start >= 0:
                if flag:
                    content[start + at_flags] |= 1
                else:
                    content[start + at_method : start + at_method + 2] = method.to_bytes(2, "little")
        archive.write_bytes(bytes(content))

    case.as_zip.append(change)
