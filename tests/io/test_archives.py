"""Archives are unpacked within their folder, or not at all."""

import shutil
import types
import zipfile

import pytest

from cspine.core.errors import UnreadableArchiveError, hashed
from cspine.io.archives import unpack
from tests.builders.raises import raises_code


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "inside"
    path.mkdir()
    return path


def _zip(path, *names):
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, name)
    return path


def test_requested_members_are_unpacked(tmp_path, folder):
    unpack(_zip(tmp_path / "a.zip", "deep/one.txt", "two.bin"), folder, lambda name: name.endswith(".txt"))
    assert [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()] == ["deep/one.txt"]


@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "a/../../evil.txt", "..\\evil.txt", "C:/evil.txt"])
def test_a_member_outside_stops_everything_even_if_it_is_not_requested(tmp_path, folder, name):
    archive = _zip(tmp_path / "a.zip", "good.txt", name)
    with raises_code(UnreadableArchiveError, hashed(name.replace("\\", "/"))):
        unpack(archive, folder, lambda member: member == "good.txt")
    assert list(folder.iterdir()) == []
    assert [path.name for path in tmp_path.iterdir() if "evil" in path.name] == []


def test_a_damaged_archive_is_refused(tmp_path, folder):
    archive = _zip(tmp_path / "a.zip", "one.txt")
    archive.write_bytes(archive.read_bytes()[:-10])
    with raises_code(UnreadableArchiveError, "BadZipFile"):
        unpack(archive, folder)


def test_a_member_that_a_damaged_directory_hides_is_noticed(tmp_path, folder):
    archive = _zip(tmp_path / "a.zip", "a.dcm", "b.dcm", "c.dcm")
    content = bytearray(archive.read_bytes())
    first = content.index(b"PK\x01\x02")
    entry = 46 + len("b.dcm")
    content[first + 32 : first + 34] = entry.to_bytes(2, "little")  # the second is the comment of the first
    archive.write_bytes(bytes(content))
    with zipfile.ZipFile(archive) as zipped:
        assert len(zipped.infolist()) == 2
    with pytest.raises(UnreadableArchiveError):
        unpack(archive, folder)
    assert list(folder.iterdir()) == []


def test_an_archive_with_a_comment_is_read(tmp_path, folder):
    archive = _zip(tmp_path / "a.zip", "a.dcm")
    with zipfile.ZipFile(archive, "a") as zipped:
        zipped.comment = b"of the scanner" * 100
    unpack(archive, folder)
    assert [path.name for path in folder.iterdir()] == ["a.dcm"]


@pytest.mark.parametrize("method", [1, 9, 12, 14, 93, 99])
def test_a_member_of_another_method_than_its_bytes_is_refused(tmp_path, folder, method):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", b"text" * 20)
    content = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        start = content.find(signature) + at
        content[start : start + 2] = method.to_bytes(2, "little")
    path.write_bytes(bytes(content))
    with pytest.raises(UnreadableArchiveError):
        unpack(path, folder)


def test_a_member_whose_name_no_file_system_takes_is_refused(tmp_path, folder):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x" * 300, b"")
    with pytest.raises(UnreadableArchiveError):
        unpack(path, folder)


@pytest.mark.parametrize(("free", "fits"), [(50_000, True), (44_000, False), (9_000, False)])
def test_an_archive_never_fills_the_disk(free, fits, tmp_path, folder, monkeypatch):
    archive = _zip(tmp_path / "a.zip", *(f"{number}.txt" for number in range(10)))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: types.SimpleNamespace(free=free))
    if fits:
        unpack(archive, folder)
        assert len(list(folder.iterdir())) == 10
    else:
        with pytest.raises(UnreadableArchiveError):
            unpack(archive, folder)
        assert list(folder.iterdir()) == []


def test_a_member_that_is_longer_than_it_says_is_cut_and_refused(tmp_path, folder):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("bomb.dcm", bytes(10 * 2**20))
    data = archive.read_bytes().replace((10 * 2**20).to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    archive.write_bytes(data)
    with pytest.raises(UnreadableArchiveError):
        unpack(archive, folder)
    assert sum(path.stat().st_size for path in folder.rglob("*")) <= 2**20
