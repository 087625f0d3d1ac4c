"""Archives are unpacked within their folder, or not at all."""

import zipfile

import pytest

from cspine.core.errors import UnreadableArchiveError, hashed
from cspine.io.archives import unpack
from tests.builders.raises import raises_code


@pytest.fixture
def place(tmp_path):
    folder = tmp_path / "inside"
    folder.mkdir()
    return folder


def _zip(path, *names):
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, name)
    return path


def test_what_is_wanted_is_unpacked(tmp_path, place):
    unpack(_zip(tmp_path / "a.zip", "deep/one.txt", "two.bin"), place, lambda name: name.endswith(".txt"))
    assert [str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()] == ["deep/one.txt"]


@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "a/../../evil.txt", "..\\evil.txt", "C:/evil.txt"])
def test_a_member_outside_stops_everything_even_if_it_is_not_wanted(tmp_path, place, name):
    archive = _zip(tmp_path / "a.zip", "good.txt", name)
    with raises_code(UnreadableArchiveError, hashed(name.replace("\\", "/"))):
        unpack(archive, place, lambda member: member == "good.txt")
    assert list(place.iterdir()) == []
    assert [path.name for path in tmp_path.iterdir() if "evil" in path.name] == []


def test_a_damaged_archive_is_refused(tmp_path, place):
    archive = _zip(tmp_path / "a.zip", "one.txt")
    archive.write_bytes(archive.read_bytes()[:-10])
    with pytest.raises(UnreadableArchiveError, match="BadZipFile"):
        unpack(archive, place)
