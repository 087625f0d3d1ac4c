"""Unpack zip archives from outside, safely within a folder or not at all."""

from __future__ import annotations

import shutil
import stat
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from cspine.core.errors import UnreadableArchiveError, hashed
from cspine.io.foreign import foreign_file

_SAME_NAME = "same-name"
#: An archive never fills the disk; a small file takes a block.
_MAX_SHARE = 0.9
_BLOCK_BYTES = 4096
#: The record at the end of an archive with its longest comment (APPNOTE 4.3.16); a count that ZIP64 has elsewhere.
_END_BYTES, _END_SIGNATURE, _IN_ZIP64 = 22 + 65_535, b"PK\x05\x06", 0xFFFF


def unpack(archive: Path, folder: Path, wanted: Callable[[str], bool] = lambda _: True) -> None:
    """Unpack an archive into a folder; a further member of the same name goes into a folder of its own within it.

    Parameters
    ----------
    archive : Path
        The zip file.
    folder : Path
        An existing folder.
    wanted : callable, optional
        Returns for a member's name whether to unpack it; all are unpacked if omitted.

    Raises
    ------
    UnreadableArchiveError
        If the archive is damaged, encrypted or too large for the free space, contains a link, or would unpack outside
        its folder, whether the member at fault is wanted or not.
    """
    with (
        foreign_file(lambda kind: UnreadableArchiveError(f"the archive cannot be unpacked ({kind})")),
        zipfile.ZipFile(archive) as zipped,
    ):
        stated = _stated_members(archive)
        if stated is not None and stated != len(zipped.infolist()):
            raise UnreadableArchiveError(
                f"the archive has {stated} members, and its directory {len(zipped.infolist())}"
            )
        members = [member for member in zipped.infolist() if not member.is_dir()]
        for member in members:
            _guard(member, folder)
        members = [member for member in members if wanted(member.filename)]
        size = sum(member.file_size + _BLOCK_BYTES for member in members)
        if size > _MAX_SHARE * shutil.disk_usage(folder).free:
            raise UnreadableArchiveError(
                f"the archive unpacks to {size / 2**20:.0f} MiB, more than {_MAX_SHARE:.0%} of the free space"
            )
        names: Counter[str] = Counter()
        for member in members:
            copy = names[member.filename]
            names[member.filename] += 1
            zipped.extract(member, folder / f"{_SAME_NAME}-{copy}" if copy else folder)


def _stated_members(archive: Path) -> int | None:
    """Return how many members the end of an archive states, which `zipfile` does not compare; None in ZIP64 archives.

    A damaged directory may hide a member in the comment of another.
    """
    with archive.open("rb") as file:
        file.seek(max(0, archive.stat().st_size - _END_BYTES))
        end = file.read()
    at = end.rfind(_END_SIGNATURE)
    count = int.from_bytes(end[at + 10 : at + 12], "little") if 0 <= at <= len(end) - 22 else None
    return None if count == _IN_ZIP64 else count


def _guard(member: zipfile.ZipInfo, folder: Path) -> None:
    name = member.filename.replace("\\", "/")
    target = (folder / name).resolve()
    if not target.is_relative_to(folder.resolve()) or ".." in name.split("/") or ":" in name.split("/")[0]:
        raise UnreadableArchiveError(f"a member of the archive ({hashed(name)}) would be written outside its folder")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise UnreadableArchiveError(f"a member of the archive ({hashed(name)}) is a link")
    if member.flag_bits & 0x1:
        raise UnreadableArchiveError("the archive is encrypted")
